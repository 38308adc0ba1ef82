// `queue`: a whole package set is wanted at once. How soon the first build starts, whether others have their turns
// meanwhile, what it holds in memory, and how soon all of it is let go of.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { DrvGraph, type NodeId } from '@eka-ci/core/drv-graph';
import { randomDrvNodes } from '@eka-ci/core/testing/random-graph';
import { createFakeBuilder } from '@eka-ci/server/builder/builder.fake';
import type { Database } from '@eka-ci/server/database/database';
import { openSqliteDatabase } from '@eka-ci/server/database/kysely/sqlite/sqlite-database';
import { createTestScheduler } from '@eka-ci/server/pipeline/testing/schedule-alone';
import {
  assertSameWork,
  type Benchmark,
  collectGarbage,
  type Figure,
  forOrientation,
  growthFigure,
  type Outcome,
  type RunOptions,
  summarize,
  within,
} from './measure.ts';

interface Measured {
  readonly firstStartMs: number;
  /** Begun, recorded, logged and ended, while the rest waits. */
  readonly buildsPerS: number;
  /** From the word to cancel until everything is recorded as cancelled. */
  readonly cancelMs: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
  /** Resident, at most, beyond what the process had with the asked graph in its hands. */
  readonly moreBytes: number;
  readonly settled: number;
}

const mib = 1024 * 1024;
const slots = 64;
const builtBeforeCancel = 1000;
/** Of the figure's own clock: an event loop that is never late shows this. */
const resolutionMs = 1;

const plant = async (database: Database, count: number) => {
  const graph = new DrvGraph();
  const wanted = new Set<NodeId>();
  let batch = [];
  for (const node of randomDrvNodes({ nodes: count, seed: 5 })) {
    wanted.add(graph.add(node));
    batch.push(node);
    if (batch.length < 10_000) continue;
    await database.derivations.save(batch);
    batch = [];
  }
  await database.derivations.save(batch);
  return { graph, wanted };
};

const watchProcess = () => {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  collectGarbage();
  const before = process.memoryUsage.rss();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, 50);
  delay.enable();
  return () => {
    delay.disable();
    clearInterval(timer);
    const ms = (nanoseconds: number): number => nanoseconds / 1e6;
    return {
      delayP99Ms: ms(delay.percentile(99)),
      delayMaxMs: ms(delay.max),
      moreBytes: most - before,
    };
  };
};

const demandAll = async (database: Database, folder: string, count: number): Promise<Measured> => {
  const { graph, wanted } = await plant(database, count);
  const builder = createFakeBuilder({
    systems: ['x86_64-linux', 'i686-linux', 'builtin'],
    features: ['big-parallel'],
    behave: () => ({ result: { kind: 'built', durationMs: 1 } }),
  });
  const scheduler = createTestScheduler({
    ...{ database, builder, logs: { folder, maxBytes: 10_000 } },
    slots: { build: slots, fixedOutput: slots },
  });
  const abort = new AbortController();
  const ended = watchProcess();
  let [firstStartMs, firstEndAt, cancelledAt, built] = [0, 0, 0, 0];
  const most = Math.min(builtBeforeCancel, count / 2);
  const begunAt = performance.now();
  const { finished } = scheduler.demand({
    ...{ class: 'open-change', arrivedAtMs: 0, change: null, graph, wanted, signal: abort.signal },
    onEvent: ({ kind }) => {
      if (kind === 'build-started' && firstStartMs === 0) firstStartMs = performance.now() - begunAt;
      if (kind === 'build-finished') built += 1;
      if (built === 1 && firstEndAt === 0) firstEndAt = performance.now();
      if (built < most || cancelledAt > 0) return;
      cancelledAt = performance.now();
      abort.abort();
    },
  });
  const settled = (await finished).size;
  const cancelMs = performance.now() - cancelledAt;
  const buildsPerS = ((most - 1) / (cancelledAt - firstEndAt)) * 1000;
  const seen = ended();
  await scheduler.stop();
  return { firstStartMs, buildsPerS, cancelMs, settled, ...seen };
};

const measureOnce = async (count: number): Promise<Measured> => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-bench-queue-'));
  const database = await openSqliteDatabase({
    path: join(folder, 'db.sqlite'),
    durability: 'power-loss',
  });
  try {
    const measured = await demandAll(database, folder, count);
    assertSameWork('derivations that were settled', { asked: count, settled: measured.settled });
    return measured;
  } finally {
    await database.close();
    await rm(folder, { recursive: true });
  }
};

const figuresOf = (runs: readonly Measured[], count: number): Figure[] => {
  const of = (pick: (run: Measured) => number) => summarize(runs.map(pick));
  const name = (what: string): string => `${what}, of ${count.toLocaleString('en')}`;
  const firstStart = { unit: 'ms', ours: of(({ firstStartMs }) => firstStartMs) };
  const rate = { unit: 'a second', ours: of(({ buildsPerS }) => buildsPerS) };
  const cancel = { unit: 'ms', ours: of(({ cancelMs }) => cancelMs) };
  const p99 = { unit: 'ms', ours: of(({ delayP99Ms }) => delayP99Ms), atMost: 20 };
  const longest = { unit: 'ms', ours: of(({ delayMaxMs }) => delayMaxMs) };
  const memory = { unit: 'MiB', ours: of(({ moreBytes }) => moreBytes / mib) };
  return [
    forOrientation({ name: name('first build starts after'), ...firstStart }),
    forOrientation({ name: name('builds that take no time'), ...rate }),
    forOrientation({ name: name('all is cancelled after'), ...cancel }),
    within({ name: name('event loop late, p99'), ...p99 }),
    forOrientation({ name: name('event loop late, at most'), ...longest }),
    forOrientation({ name: name('resident memory more'), ...memory }),
  ];
};

const measure = async ({ smoke, repetitions }: RunOptions): Promise<Outcome> => {
  const sizes = smoke ? [100, 1000] : [2000, 20_000, 200_000];
  const largest = sizes.at(-1) ?? 0;
  const runs = new Map<number, Measured[]>();
  // The first of all compiles.
  await measureOnce(100);
  for (let round = 0; round < repetitions; round++) {
    for (const size of sizes) runs.set(size, [...(runs.get(size) ?? []), await measureOnce(size)]);
  }
  const points = [...runs].map(([size, measured]) => ({
    size,
    cost: summarize(measured.map(({ firstStartMs, cancelMs }) => firstStartMs + cancelMs)).median,
  }));
  return {
    kind: 'measured',
    figures: [...figuresOf(runs.get(largest) ?? [], largest), growthFigure('taken up and cancelled', points)],
    notes: [
      `${slots} slots of each kind, a builder that takes no time, cancelled after ${builtBeforeCancel} builds; rows and logs on disk`,
    ],
  };
};

export const queue: Benchmark = {
  name: 'queue',
  what: 'a whole package set wanted at once by one change: its first build, the event loop meanwhile, memory, and its cancellation',
  run: measure,
};
