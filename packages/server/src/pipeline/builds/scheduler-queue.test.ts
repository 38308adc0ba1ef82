// What waits, as it is paged: a queue of hundreds of thousands is never given as a whole.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DrvGraph } from '@eka-ci/core/drv-graph';
import { expect, it, vi } from 'vitest';
import { createFakeBuilder } from '../../builder/builder.fake.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { newNode, newPath } from '../../database/testing/samples.ts';
import { createTestScheduler } from '../testing/schedule-alone.ts';

it('is given in parts, without what runs', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-queue-'));
  const database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  const nodes = Array.from({ length: 9 }, (_, index) => newNode([], { path: newPath(`waits-${index}`) }));
  await database.derivations.save(nodes);
  const graph = new DrvGraph();
  const wanted = new Set(nodes.map((node) => graph.add(node)));
  const cancelled = { kind: 'interrupted', cause: 'process-death', message: 'over', durationMs: 1 } as const;
  const builder = createFakeBuilder({
    behave: () => ({ turns: Number.POSITIVE_INFINITY, result: cancelled }),
  });
  const scheduler = createTestScheduler({ database, logs: { folder, maxBytes: 10_000 }, builder });
  const ending = new AbortController();
  const { finished } = scheduler.demand({
    class: 'open-change',
    arrivedAtMs: 0,
    change: null,
    graph,
    wanted,
    onEvent: () => {},
    signal: ending.signal,
  });
  await vi.waitFor(() => expect(scheduler.active()).toHaveLength(2));
  const all = scheduler.queued(0, 100);
  expect([all.length, new Set(all).size, scheduler.queuedCount()]).toEqual([7, 7, 7]);
  const running = scheduler.active().map(({ drv }) => drv);
  expect(all.some((drv) => running.includes(drv))).toBe(false);
  expect([...scheduler.queued(0, 3), ...scheduler.queued(3, 3), ...scheduler.queued(6, 3)]).toEqual(all);
  expect(scheduler.queued(7, 3)).toEqual([]);
  ending.abort();
  await finished;
  expect([scheduler.queued(0, 100), scheduler.queuedCount()]).toEqual([[], 0]);
  await scheduler.stop();
  await database.close();
  await rm(folder, { recursive: true });
});
