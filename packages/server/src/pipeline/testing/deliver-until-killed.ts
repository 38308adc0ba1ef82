// Many forges in small, to be killed: hands deliveries in, many at a time, and prints each key once it is acknowledged.
// Arguments: the database's path, and how many wait at once.
import { openSqliteDatabase } from '../../database/kysely/sqlite/sqlite-database.ts';
import { createDeliveryLine } from '../delivery-line.ts';

const [, , path = '', producers = '1'] = process.argv;
const database = await openSqliteDatabase({ path, durability: 'power-loss' });
const line = createDeliveryLine(database.deliveries);
const produce = async (producer: number): Promise<never> => {
  for (let number = 0; ; number++) {
    const key = `${producer}/${number}`;
    await line.receive([{ key, payload: JSON.stringify(key.repeat(5000)), receivedAtMs: number }]);
    process.stdout.write(`${key}\n`);
  }
};
await Promise.all(Array.from({ length: Number(producers) }, (_, producer) => produce(producer)));
