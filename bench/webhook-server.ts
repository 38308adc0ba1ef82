// The process that webhooks.ts sends deliveries to, and kills. Arguments: bare | durable, the database's path.
import { openSqliteDatabase } from '@eka-ci/server/database/kysely/sqlite/sqlite-database';
import { createDeliveryFront, type FrontOptions } from '@eka-ci/server/http/testing/delivery-front';
import { createDeliveryLine } from '@eka-ci/server/pipeline/delivery-line';
import { webhookSecret } from './webhook-client.ts';

const [, , mode, path = ''] = process.argv;

const openLine = async (): Promise<FrontOptions['keep']> => {
  const database = await openSqliteDatabase({ path, durability: 'power-loss' });
  return { line: createDeliveryLine(database.deliveries), secret: webhookSecret };
};

const app = createDeliveryFront({ keep: mode === 'durable' ? await openLine() : null });
await app.listen({ host: '127.0.0.1', port: 0 });
const [address] = app.addresses();
console.log(typeof address === 'object' ? address.port : '');
