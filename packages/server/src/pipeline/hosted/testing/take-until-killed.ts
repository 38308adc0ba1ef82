// An intake that is to be killed: stores what a forge tells, many at a time, prints each key once it is acknowledged, and
// acts on it meanwhile. Arguments: the database's path, how many deliveries, of how many changes in each of how many
// repositories.
import { openSqliteDatabase } from '../../../database/kysely/sqlite/sqlite-database.ts';
import { createFakeHostedForge } from '../../../forge/hosted-forge.fake.ts';
import { createDeliveryLine } from '../../delivery-line.ts';
import { createHostedIntake } from '../../hosted-intake.ts';
import { hostedKey, writePayload } from '../hosted-delivery.ts';
import { fillForge, movedEvent } from './intake-world.ts';

const [path = '', ...counts] = process.argv.slice(2);
const [deliveries = 0, changes = 0, repositories = 0] = counts.map(Number);
const database = await openSqliteDatabase({ path, durability: 'process-death' });
const line = createDeliveryLine(database.deliveries);
const forge = createFakeHostedForge();
// The first sweep finds nothing: what is here is here because it was told.
const intake = createHostedIntake({
  forges: [forge],
  database: { ...database, deliveries: line },
  baselines: [],
  clock: Date.now,
  onTaken: () => {},
  onEvent: () => {},
});
await intake.start();
fillForge(forge, { changes, repositories });
const deliver = async (number: number): Promise<void> => {
  const repository = `owner/r${number % repositories}`;
  const event = movedEvent(forge, repository, (Math.floor(number / repositories) % changes) + 1);
  const key = hostedKey(forge.host, String(number));
  const delivery = { key, payload: writePayload(event), receivedAtMs: Date.now() };
  await line.receive([delivery]);
  process.stdout.write(`${key}\n`);
  intake.take(delivery);
};
const atOnce = 64;
for (let number = 0; number < deliveries; number += atOnce) {
  const some = Array.from({ length: Math.min(atOnce, deliveries - number) }, (_, at) => deliver(number + at));
  await Promise.all(some);
}
