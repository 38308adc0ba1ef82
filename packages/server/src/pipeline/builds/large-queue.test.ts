// A whole package set is wanted at once: it is queued, and cancelled, in parts, and others have their turns in between.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DrvGraph, type NodeId } from '@eka-ci/core/drv-graph';
import { randomDrvNodes } from '@eka-ci/core/testing/random-graph';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createFakeBuilder } from '../../builder/builder.fake.ts';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { type Breath, breathe } from '../../lib/breathe.ts';
import { createTestScheduler } from '../testing/schedule-alone.ts';

const wantedAtOnce = 9000;
/** Rows of one transaction. */
const mostRows = 2000;

let folder: string;
let database: Database;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eka-ci-large-queue-'));
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterEach(async () => {
  await database.close();
  await rm(folder, { recursive: true });
});

const plant = async () => {
  const graph = new DrvGraph();
  const nodes = [...randomDrvNodes({ nodes: wantedAtOnce, seed: 3 })];
  const wanted = new Set<NodeId>(nodes.map((node) => graph.add(node)));
  for (let at = 0; at < nodes.length; at += 5000) {
    await database.derivations.save(nodes.slice(at, at + 5000));
  }
  return { graph, wanted };
};

/** Due as often as it is asked; others have their turn each time. */
const createCountedBreath = () => {
  let asked = 0;
  const breath: Breath = { isDue: () => ++asked % 256 === 0, take: () => breathe() };
  return { breath, asked: () => asked };
};

/** Counts how often others have had a turn. */
const countTurns = () => {
  let [turns, counting] = [0, true];
  const turn = (): void => {
    turns += 1;
    if (counting) setImmediate(turn);
  };
  setImmediate(turn);
  return {
    so: () => turns,
    stop: () => {
      counting = false;
    },
  };
};

it('is taken up in parts, starts before it is looked at as a whole, and is cancelled in parts', {
  timeout: 120_000,
}, async () => {
  const { graph, wanted } = await plant();
  const rows: number[] = [];
  const builds: Database['builds'] = {
    ...database.builds,
    recordTransitions: (steps) => {
      rows.push(steps.length);
      return database.builds.recordTransitions(steps);
    },
  };
  const builder = createFakeBuilder({
    systems: ['x86_64-linux', 'i686-linux', 'builtin'],
    features: ['big-parallel'],
    behave: () => ({ result: { kind: 'built', durationMs: 1 } }),
  });
  const { breath, asked } = createCountedBreath();
  const scheduler = createTestScheduler({
    ...{ database: { builds }, builder, logs: { folder, maxBytes: 10_000 }, breath },
    // The graph is made anew behind the first turn.
    keptNodes: 0,
    slots: { build: 8, fixedOutput: 8 },
  });
  const turns = countTurns();
  const abort = new AbortController();
  let [turnsAtFirst, askedAtFirst, askedAtCancel, finished] = [0, 0, 0, 0];
  const demand = scheduler.demand({
    ...{ class: 'open-change', arrivedAtMs: 0, change: null, graph, wanted, signal: abort.signal },
    onEvent: ({ kind }) => {
      if (kind === 'build-started' && turnsAtFirst === 0)
        [turnsAtFirst, askedAtFirst] = [turns.so(), asked()];
      if (kind === 'build-finished') finished += 1;
      if (finished !== 100 || abort.signal.aborted) return;
      askedAtCancel = asked();
      abort.abort();
    },
  });
  const outcomes = await demand.finished;
  const parts = Math.floor(wantedAtOnce / mostRows);
  expect(Math.max(...rows)).toBeLessThanOrEqual(mostRows);
  // Once queued, once cancelled; what is ready is told besides.
  expect(rows.filter((count) => count === mostRows).length).toBeGreaterThanOrEqual(2 * parts);
  // Whatever goes through all of it gives up its turn on the way.
  const passes = [askedAtFirst, askedAtCancel - askedAtFirst, asked() - askedAtCancel].map((times) =>
    Math.floor(times / wantedAtOnce),
  );
  for (const [at, atLeast] of [11, 10, 4].entries()) expect(passes[at]).toBeGreaterThanOrEqual(atLeast);
  expect(turnsAtFirst).toBeGreaterThanOrEqual(parts);
  expect(turns.so() - turnsAtFirst).toBeGreaterThanOrEqual(parts);
  expect(outcomes.size).toBe(wantedAtOnce);
  const states = [...outcomes.values()].map(({ state }) => state);
  expect(states.filter((state) => state === 'succeeded').length).toBeLessThan(200);
  expect(new Set(states)).toEqual(new Set(['succeeded', 'interrupted']));
  expect([scheduler.queuedCount(), scheduler.active(), builder.running.size]).toEqual([0, [], 0]);
  turns.stop();
  await scheduler.stop();
});
