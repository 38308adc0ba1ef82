// A database that is gone for good is told from one that is only busy, once.
import { expect, it } from 'vitest';
import { DatabaseError, type DatabaseErrorCode } from '../../database/database-error.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { createDatabaseWatch } from './database-watch.ts';

it('tells that the database is lost, once, and says nothing of one that answers', async () => {
  const database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  const lost = Promise.withResolvers<unknown>();
  let told = 0;
  const watch = createDatabaseWatch(database, (error) => {
    told += 1;
    lost.resolve(error);
  });
  watch.look();
  await database.close();
  expect(told).toBe(0);
  watch.look();
  expect(await lost.promise).toMatchObject({ code: 'DATABASE_CLOSED' });
  watch.look();
  await new Promise((resolve) => setImmediate(resolve));
  expect(told).toBe(1);
});

it('waits for one that is busy, full or not to be read just now', async () => {
  const passing: readonly DatabaseErrorCode[] = ['DATABASE_LOCKED', 'DATABASE_FULL', 'DATABASE_IO'];
  for (const code of passing) {
    const asked = Promise.withResolvers<void>();
    const schemaVersion = async (): Promise<number> => {
      asked.resolve();
      throw new DatabaseError(code, 'not now');
    };
    createDatabaseWatch({ meta: { schemaVersion } }, () => expect.unreachable()).look();
    await asked.promise;
    await new Promise((resolve) => setImmediate(resolve));
  }
});
