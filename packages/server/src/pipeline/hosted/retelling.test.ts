// What could not be brought here is told once more, from where that left off.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { FakeForgeFault } from '../../forge/hosted-forge.fake.ts';
import { isIdle, openWorld, type World } from './testing/intake-world.ts';

let database: Database;
beforeAll(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(() => database.close());

const withWorld = async (work: (world: World) => Promise<void>): Promise<void> => {
  const world = await openWorld(database);
  try {
    await work(world);
  } finally {
    await world.close();
  }
};

it('has told once more what did not arrive, from where it left off', async () => {
  await withWorld(async (world) => {
    const { forge, time } = world;
    const afterSweep = async (retold: typeof forge.retold): Promise<number> => {
      forge.retold = retold;
      const before = forge.retells.length;
      await world.passUntil(() => forge.retells.length > before && isIdle(world.intake()));
      return forge.retells.at(-1) ?? Number.NaN;
    };
    await world.intake().start();
    // What is left, refused or not answered is asked for again as far back as the first time.
    const sinces = [
      await afterSweep({ asked: 100, left: 5, isUnproven: false }),
      await afterSweep({ asked: 0, left: 0, isUnproven: true }),
      await afterSweep(new FakeForgeFault(true)),
      await afterSweep({ asked: 5, left: 0, isUnproven: false }),
    ];
    expect(sinces).toEqual([0, 0, 0, 0]);
    const doneMs = time.clock();
    expect(await afterSweep({ asked: 0, left: 0, isUnproven: false })).toBe(doneMs - 30 * 60_000);
    const told = world.events.flatMap((event) => (event.kind.endsWith('retold') ? [event.kind] : []));
    expect(told).toEqual(['retold', 'retold', 'not-retold', 'retold']);
    expect(world.events.some(({ kind }) => kind === 'sweep-failed')).toBe(false);
  });
});
