// When a lane looks how its cache is; what it does besides is told by the stories of the queue.
import { setImmediate as immediate } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { createFakeCache } from '../../cache/cache.fake.ts';
import { openSqliteDatabase } from '../../database/kysely/sqlite/sqlite-database.ts';
import { startCacheLane } from './cache-lane.ts';
import { everybody, newRoot, outputOf } from './testing/push-world.ts';

it('looks sooner where there is something new, and not for each part of what it knows of', async () => {
  const database = await openSqliteDatabase({ path: ':memory:', durability: 'process-death' });
  const cache = createFakeCache();
  cache.fail({ kind: 'passing', why: 'it is down', retryAfterMs: null });
  const root = newRoot();
  const place = { repository: 'o/r', branch: 'main', changeId: null, publicationId: 1, priority: 0 };
  await database.pushes.want([{ cache: cache.id, drv: root.drv, outputs: [outputOf(root)], ...place }], 0);
  let nowMs = 1000;
  const pauses: number[] = [];
  const lane = startCacheLane(
    {
      ...{ database, owner: 'server', clock: () => nowMs, random: () => 0.5 },
      store: { queryValid: async (paths) => new Set(paths) },
      buildTimePathsOf: async () => [],
      later: (delayMs) => {
        pauses.push(delayMs);
        return () => {};
      },
      ...{ onEvent: () => {}, onEnding: () => {}, onSent: () => {} },
    },
    { cache, permissions: everybody, push: 'runtime', concurrency: 4 },
  );
  try {
    await vi.waitUntil(() => lane.fault() !== null && lane.active() === 0, { timeout: 20_000 });
    nowMs += 60_000;
    pauses.length = 0;
    for (let part = 0; part < 10; part++) lane.more();
    await immediate();
    expect(pauses).not.toContain(0);
    lane.wake();
    expect(pauses).toContain(0);
  } finally {
    await lane.stop();
    await database.close();
  }
});
