// What must not upset the scheduler: rows that contradict each other, faults of the database at the worst moment, and
// what moves while it waits. Builds end when the test says so.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BuildResult } from '@eka-ci/core/build-state';
import { DrvGraph, type DrvNode, type NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Builder } from '../../builder/builder.ts';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { newNode, newPath } from '../../database/testing/samples.ts';
import { createHandPool, handMachine } from '../testing/hand-pool.ts';
import { createTestScheduler, type TestSchedulerOptions } from '../testing/schedule-alone.ts';
import type { BuildOutcome } from './build-outcome.ts';
import type { KnownFailure } from './known-failures.ts';
import type { BuildDemand, Scheduler } from './scheduler.ts';
import type { StartGate } from './start-gate.ts';

let folder: string;
let database: Database;
let scheduler: Scheduler | null = null;
let graph: DrvGraph;
let ending: AbortController;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eka-ci-hostile-'));
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
beforeEach(() => {
  graph = new DrvGraph();
  ending = new AbortController();
});
afterEach(async () => {
  ending.abort();
  await scheduler?.stop();
  scheduler = null;
});
afterAll(async () => {
  await database.close();
  await rm(folder, { recursive: true });
});

const built: BuildResult = { kind: 'built', durationMs: 1 };

/** Each build goes on until it is ended or cancelled. */
const createHandBuilder = (systems = ['x86_64-linux', 'builtin']) => {
  const running = new Map<DrvPath, (result: BuildResult) => void>();
  const calls: DrvPath[] = [];
  const builder: Builder = {
    name: 'hand',
    systems,
    features: [],
    build({ drvPath }, observer, signal) {
      const { promise, resolve } = Promise.withResolvers<BuildResult>();
      const end = (result: BuildResult): void => {
        running.delete(drvPath);
        resolve(result);
      };
      calls.push(drvPath);
      if (running.has(drvPath)) throw new Error(`${drvPath} is built twice at once`);
      running.set(drvPath, end);
      observer.started?.();
      const cancelled: BuildResult = {
        kind: 'interrupted',
        cause: 'cancelled',
        message: 'no',
        durationMs: 1,
      };
      signal.addEventListener('abort', () => end(cancelled));
      return promise;
    },
  };
  const isRunning = ({ path }: DrvNode): boolean => running.has(path);
  return {
    builder,
    calls,
    running,
    isRunning,
    end: async (node: DrvNode, result: BuildResult = built): Promise<void> => {
      await expect.poll(() => isRunning(node), { interval: 1 }).toBe(true);
      running.get(node.path)?.(result);
    },
  };
};

const failedBy = ({ path }: DrvNode, cause: 'builder-exit' | 'lost-builder'): BuildResult => {
  return { kind: 'failed', cause, failedDrv: path, message: 'no', durationMs: 1 };
};

const make = async (name: string, inputs: readonly DrvNode[] = [], more: Partial<DrvNode> = {}) => {
  const named = inputs.map(({ path }) => ({ path, outputs: ['out'] }));
  const node = newNode(named, { path: newPath(name), ...more });
  await database.derivations.save([node]);
  graph.add(node);
  return node;
};

const open = (options: Pick<TestSchedulerOptions, 'builder'> & Partial<TestSchedulerOptions>): Scheduler => {
  scheduler = createTestScheduler({ database, logs: { folder, maxBytes: 10_000 }, ...options });
  return scheduler;
};

const ask = (nodes: readonly DrvNode[], more: Partial<BuildDemand> = {}) => {
  const wanted = new Set(nodes.map(({ path }): NodeId => graph.find(path)!));
  const { signal } = ending;
  return scheduler!.demand({
    ...{ class: 'open-change', arrivedAtMs: 0, change: null, graph, wanted, signal, onEvent: () => {} },
    ...more,
  });
};

const states = (outcomes: ReadonlyMap<DrvPath, BuildOutcome>): Record<string, string> =>
  Object.fromEntries(
    [...outcomes.values()].map(({ drv, state, cause }) => [drv.slice(44, -4), `${state} ${cause}`]),
  );

/** Everything that was told before it is done. */
const settled = (): Promise<number> => scheduler!.sweep();

/** Of a scheduler that keeps no nodes. */
const makeGraphAnew = async (hand: ReturnType<typeof createHandBuilder>): Promise<void> => {
  for (let at = 0; at < 20; at++) {
    const node = await make(`passing-${at}`);
    const { finished } = ask([node], { class: 'ordered' });
    await hand.end(node);
    await finished;
  }
};

const failureBefore: KnownFailure = {
  ...{ cause: 'builder-exit', message: 'failed before', attempt: 1, logFile: null },
  ...{ lastLines: [], endedAtMs: 1, builtAgain: true },
};

describe('what is known to fail', () => {
  it('and needs something else that is known to fail has its own failure', async () => {
    const low = await make('low');
    const high = await make('high', [low]);
    const top = await make('top', [high]);
    const hand = createHandBuilder();
    open({
      builder: hand.builder,
      findKnownFailures: (asked, wanted) =>
        // The input first, as it may well come from the database.
        Promise.resolve(
          new Map(
            [low, high].flatMap(({ path }) => {
              const node = asked.find(path);
              return node !== undefined && wanted.has(node) ? [[node, failureBefore] as const] : [];
            }),
          ),
        ),
    });
    const other = await make('other');
    const bystander = ask([other]);
    await hand.end(other);
    expect(states(await ask([low, high, top]).finished)).toEqual({
      low: 'failed builder-exit',
      high: 'failed builder-exit',
      top: 'dependency-failed builder-exit',
    });
    expect(states(await bystander.finished)).toEqual({ other: 'succeeded built' });
  });
});

describe('a fault of the database', () => {
  it('where builds were about to start leaves their slots free', async () => {
    let broken = true;
    const builds: Database['builds'] = {
      ...database.builds,
      recordTransitions: (transitions) =>
        broken && transitions.some(({ to }) => to === 'building')
          ? Promise.reject(Object.assign(new Error('the disk is full'), { code: 'DATABASE_FULL' }))
          : database.builds.recordTransitions(transitions),
    };
    const hand = createHandBuilder();
    const slots = { build: 1, fixedOutput: 1 };
    open({ builder: hand.builder, database: { builds }, slots });
    const one = await make('one');
    await expect(ask([one]).finished).rejects.toThrow('the disk is full');
    broken = false;
    expect(scheduler!.slotsInUse('hand')).toEqual({ build: 0, fixedOutput: 0 });
    const again = ask([one]);
    await hand.end(one);
    expect(states(await again.finished)).toEqual({ one: 'succeeded built' });
  });
});

describe('builders that go', () => {
  it('leave what only they could build unsatisfiable, and what it held up', async () => {
    const [here, far] = [createHandBuilder(), createHandBuilder(['aarch64-linux'])];
    const local = handMachine('here', here.builder, { isLocal: true });
    const hand = createHandPool([local, handMachine('far', far.builder)]);
    open({ builder: here.builder, pool: hand.pool });
    const arm = { system: 'aarch64-linux' };
    const runs = await make('runs', [], arm);
    const too = await make('too', [], arm);
    const waits = await make('waits', [], arm);
    const above = await make('above', [waits]);
    const { finished } = ask([runs, too, waits, above]);
    await expect.poll(() => far.running.size).toBe(2);
    hand.replace([local]);
    // What runs there goes on.
    const [first, second, third] = [runs, too, waits].toSorted(
      (a, b) => Number(far.isRunning(b)) - Number(far.isRunning(a)),
    );
    await far.end(first!);
    await far.end(second!, failedBy(second!, 'lost-builder'));
    const outcomes = await finished;
    const stateOf = ({ path }: DrvNode) => outcomes.get(path)?.state;
    expect([first!, second!, third!].map(stateOf)).toEqual(['succeeded', 'unsatisfiable', 'unsatisfiable']);
    expect(stateOf(above)).toBe(waits === first ? 'succeeded' : 'unsatisfiable');
    expect(outcomes.get(third!.path)?.message).toMatch(/aarch64-linux/);
  });
});

describe('a machine', () => {
  it('has not answered by being told to end a build', async () => {
    const far = createHandBuilder();
    const hand = createHandPool([handMachine('far', far.builder)]);
    const answered: string[] = [];
    const pool = { ...hand.pool, answered: (name: string) => void answered.push(name) };
    open({ builder: far.builder, pool });
    const [one, two] = [await make('one'), await make('two')];
    const abort = new AbortController();
    const first = ask([one], { signal: abort.signal });
    await expect.poll(() => far.isRunning(one)).toBe(true);
    abort.abort();
    expect(states(await first.finished)).toEqual({ one: 'interrupted cancelled' });
    expect(answered).toEqual([]);
    const second = ask([two]);
    await far.end(two);
    await second.finished;
    expect(answered).toEqual(['far']);
  });
});

describe('what somebody else wants later', () => {
  it('does not hold up what counted it as there, also in a graph that is made anew', async () => {
    const low = await make('low');
    const high = await make('high', [low]);
    const top = await make('top', [high]);
    const hand = createHandBuilder();
    open({ builder: hand.builder, keptNodes: 0, slots: { build: 3, fixedOutput: 1 } });
    // For this one `low` can be fetched; the other wants it by itself.
    const first = ask([high, top]);
    await expect.poll(() => hand.isRunning(high)).toBe(true);
    const second = ask([low]);
    await expect.poll(() => hand.isRunning(low)).toBe(true);
    await makeGraphAnew(hand);
    await hand.end(low, failedBy(low, 'builder-exit'));
    expect(states(await second.finished)).toEqual({ low: 'failed builder-exit' });
    await hand.end(high);
    await hand.end(top);
    expect(states(await first.finished)).toEqual({ high: 'succeeded built', top: 'succeeded built' });
  });

  it('does not have it started twice when it succeeds', async () => {
    const low = await make('low');
    // Of paths that are not known before.
    const high = await make('high', [low], { outputs: [{ name: 'out', path: '' }] });
    const hand = createHandBuilder();
    open({ builder: hand.builder, keptNodes: 0, slots: { build: 3, fixedOutput: 1 } });
    const first = ask([high]);
    await expect.poll(() => hand.isRunning(high)).toBe(true);
    const second = ask([low]);
    await expect.poll(() => hand.isRunning(low)).toBe(true);
    await makeGraphAnew(hand);
    await hand.end(low);
    await second.finished;
    await hand.end(high);
    expect(states(await first.finished)).toEqual({ high: 'succeeded built' });
    expect(hand.calls.filter((drv) => drv === high.path)).toHaveLength(1);
  });

  it('goes on for those who have come to wait for it, however deep, when nobody else wants it', async () => {
    const blocker = await make('blocker');
    const third = await make('third');
    const second = await make('second', [third]);
    const first = await make('first', [second, blocker]);
    const beside = await make('beside', [third, blocker]);
    const top = await make('top', [first, blocker]);
    const hand = createHandBuilder();
    open({ builder: hand.builder });
    // Each counts as there what it does not ask for, and is gone again before the next is.
    const stays = ask([blocker, top]);
    const aborts = [new AbortController(), new AbortController(), new AbortController()];
    const leave = async (at: number, asked: ReturnType<typeof ask>): Promise<void> => {
      await settled();
      aborts[at]!.abort();
      await asked.finished;
    };
    const goes = ask([blocker, first, beside], { signal: aborts[0]!.signal });
    await leave(1, ask([third], { signal: aborts[1]!.signal }));
    await leave(2, ask([second], { signal: aborts[2]!.signal }));
    await leave(0, goes);
    for (const node of [third, second, blocker, first, top]) await hand.end(node);
    expect(states(await stays.finished)).toEqual({ blocker: 'succeeded built', top: 'succeeded built' });
  });
});

describe('one that waits for another with the same outputs', () => {
  it.each([0, 1_000_000])(
    'and is wanted anew meanwhile does not start before what it needs then (graph of %i)',
    async (keptNodes) => {
      const low = await make('low');
      const maker = await make('maker');
      const twin = await make('twin', [low], { outputs: maker.outputs });
      const hand = createHandBuilder();
      open({ builder: hand.builder, keptNodes, slots: { build: 3, fixedOutput: 1 } });
      const first = ask([maker]);
      await expect.poll(() => hand.isRunning(maker)).toBe(true);
      const abort = new AbortController();
      const second = ask([twin], { signal: abort.signal });
      await settled();
      abort.abort();
      expect(states(await second.finished)).toEqual({ twin: 'interrupted cancelled' });
      if (keptNodes === 0) await makeGraphAnew(hand);
      const third = ask([twin, low]);
      await expect.poll(() => hand.isRunning(low)).toBe(true);
      await hand.end(maker);
      await first.finished;
      await settled();
      expect(hand.isRunning(twin)).toBe(false);
      await hand.end(low);
      await hand.end(twin);
      expect(states(await third.finished)).toEqual({ low: 'succeeded built', twin: 'succeeded built' });
    },
  );
});

describe('a sweep', () => {
  it('that finds by itself that the gate is open has found no bug', async () => {
    let free = false;
    let reason: string | null = 'the disk is full';
    const watchers = new Set<() => void>();
    const gate: StartGate = {
      shutBecause: () => reason,
      // As a disk that is read anew by whoever looks.
      look: () => {
        if (free && reason !== null) {
          reason = null;
          for (const watcher of [...watchers]) watcher();
        }
        return Promise.resolve(reason);
      },
      watch: (onChange) => {
        watchers.add(onChange);
        return () => void watchers.delete(onChange);
      },
    };
    const repaired: (readonly DrvPath[])[] = [];
    const hand = createHandBuilder();
    open({ builder: hand.builder, gate, onRepaired: (found) => repaired.push(found) });
    const one = await make('one');
    const { finished } = ask([one]);
    await expect.poll(() => scheduler!.why(one.path)).toMatch(/the disk is full/);
    free = true;
    expect(await scheduler!.sweep()).toBe(0);
    await hand.end(one);
    await finished;
    expect(repaired).toEqual([]);
  });
});
