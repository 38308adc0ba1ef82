// Builds behind a gate: none is started while it is shut, those that run end, and whatever a gate does to a run of random
// builds, it comes to the same.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DrvGraph, type DrvNode, type NodeId } from '@eka-ci/core/drv-graph';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createFakeBuilder } from '../../builder/builder.fake.ts';
import { createLocalPool, poolLocal } from '../../builder/pool/local-pool.ts';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { newNode, newPath } from '../../database/testing/samples.ts';
import { behaviourOf, expectedStates, type Plan, plansArbitrary } from '../testing/planned-builds.ts';
import { type AloneOptions, scheduleAlone } from '../testing/schedule-alone.ts';
import { createDrain } from '../upkeep/drain.ts';
import type { BuildEvent } from './build-outcome.ts';
import { combineGates, openGate, type StartGate, untilOpen } from './start-gate.ts';

let folder: string;
let database: Database;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eka-ci-gate-'));
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(async () => {
  await database.close();
  await rm(folder, { recursive: true });
});

/** A gate that is told what to be; it counts who watches. */
const createHandGate = () => {
  let reason: string | null = null;
  const watchers = new Set<() => void>();
  const gate: StartGate = {
    shutBecause: () => reason,
    look: () => Promise.resolve(reason),
    watch: (onChange) => {
      const watcher = (): void => onChange();
      watchers.add(watcher);
      return () => void watchers.delete(watcher);
    },
  };
  const turn = (to: string | null): void => {
    reason = to;
    for (const watcher of [...watchers]) watcher();
  };
  return { gate, watched: () => watchers.size, shut: () => turn('it is shut'), open: () => turn(null) };
};

interface Case {
  readonly nodes: readonly DrvNode[];
  readonly ids: readonly NodeId[];
  readonly options: AloneOptions;
}

const plain = (inputs: readonly number[]): Plan => ({
  inputs,
  fate: 'succeeds',
  fixedOutput: false,
  wanted: true,
  turns: 1,
});

const makeCase = async (plans: readonly Plan[], more: Partial<AloneOptions>): Promise<Case> => {
  const nodes: DrvNode[] = [];
  for (const [index, { inputs, fate, fixedOutput }] of plans.entries()) {
    // Inputs are indices of earlier ones.
    const named = inputs.map((input) => ({ path: nodes[input]!.path, outputs: ['out'] }));
    const system = fate === 'has no builder' ? 'riscv64-linux' : 'x86_64-linux';
    nodes.push(newNode(named, { path: newPath(`node-${index}`), system, fixedOutput }));
  }
  await database.derivations.save(nodes);
  const graph = new DrvGraph();
  const ids = nodes.map((node) => graph.add(node));
  const byPath = new Map(nodes.map((node, index) => [node.path, plans[index]!]));
  const builder = createFakeBuilder({
    behave: (path, attempt) => behaviourOf(byPath.get(path)!, path, attempt),
  });
  const options: AloneOptions = {
    graph,
    wanted: ids.filter((_, index) => plans[index]!.wanted),
    builder,
    database,
    slots: { build: 2, fixedOutput: 1 },
    limits: { silenceTimeoutMs: 1000, maxDurationMs: 1000, maxLogBytes: 1000 },
    logs: { folder, maxBytes: 10_000 },
    onEvent: () => {},
    signal: new AbortController().signal,
    ...more,
  };
  return { nodes, ids, options };
};

it('comes to the same whatever the gate does meanwhile', async () => {
  await fc.assert(
    fc.asyncProperty(plansArbitrary, fc.array(fc.nat(4), { maxLength: 20 }), async (plans, turns) => {
      const hand = createHandGate();
      const moves = [...turns];
      let countdown = moves.shift() ?? Number.POSITIVE_INFINITY;
      const onEvent = ({ kind }: BuildEvent): void => {
        if (kind === 'phase' || countdown-- > 0) return;
        countdown = moves.shift() ?? Number.POSITIVE_INFINITY;
        hand.shut();
      };
      // Whoever finds it dry opens it, or it would wait for ever.
      const { options, nodes } = await makeCase(plans, {
        gate: hand.gate,
        onEvent,
        onRanDry: () => hand.open(),
      });
      const outcomes = await scheduleAlone(options).finished;
      const expected = expectedStates(plans);
      for (const [index, node] of nodes.entries()) {
        const state = outcomes.get(node.path)?.state;
        if (expected[index] === null) expect(state).toBeUndefined();
        else expect(expected[index]).toContain(state);
      }
      expect(hand.watched()).toBe(0);
    }),
    { numRuns: 40 },
  );
});

it('lets what runs end, says why the rest waits, and goes on when there is room', async () => {
  const hand = createHandGate();
  const started: string[] = [];
  const dry = Promise.withResolvers<void>();
  const { options, nodes } = await makeCase([plain([]), plain([0]), plain([1])], {
    gate: hand.gate,
    onEvent: (event) => {
      if (event.kind !== 'build-started') return;
      started.push(event.drv);
      hand.shut();
    },
    onRanDry: () => dry.resolve(),
  });
  const [first, second, third] = nodes.map(({ path }) => path);
  const builds = scheduleAlone(options);
  await dry.promise;
  expect((await database.builds.statesOf([first!])).get(first!)?.state).toBe('succeeded');
  expect(started).toEqual([first]);
  expect(builds.why(second!)).toBe('node-1 waits: it is shut.');
  expect(builds.why(third!)).toBe('node-2 waits for node-1, which waits: it is shut.');
  hand.open();
  // Each that starts shuts it again.
  await expect.poll(() => started.length).toBe(2);
  await expect.poll(() => builds.why(third!)).toBe('node-2 waits: it is shut.');
  hand.open();
  expect([...(await builds.finished).values()].map(({ state }) => state)).toEqual(Array(3).fill('succeeded'));
});

it('runs dry when the gate shuts while all that is ready waits for a builder that is out', async () => {
  const hand = createHandGate();
  const cancel = new AbortController();
  const out = { reason: 'gone', retryAtMs: 0 };
  const { options } = await makeCase([plain([])], { gate: hand.gate, signal: cancel.signal });
  const pool = createLocalPool(poolLocal(options.builder, { build: 1, fixedOutput: 1 }));
  const builds = scheduleAlone({
    ...options,
    pool: { ...pool, outageOf: () => out },
    onRanDry: () => cancel.abort(),
  });
  await expect.poll(() => hand.watched()).toBe(1);
  hand.shut();
  const outcomes = await builds.finished;
  expect([...outcomes.values()].map(({ cause }) => cause)).toEqual(['cancelled']);
  expect(hand.watched()).toBe(0);
});

it('is cancelled at once while it waits', async () => {
  const hand = createHandGate();
  hand.shut();
  const cancel = new AbortController();
  const { options } = await makeCase([plain([]), plain([0])], {
    gate: hand.gate,
    signal: cancel.signal,
    onRanDry: () => cancel.abort(),
  });
  const outcomes = await scheduleAlone(options).finished;
  expect([...outcomes.values()].map(({ state, cause }) => [state, cause])).toEqual([
    ['interrupted', 'cancelled'],
    ['interrupted', 'cancelled'],
  ]);
  expect(hand.watched()).toBe(0);
});

it('lets go of the gate when the run breaks while it is held back', async () => {
  const hand = createHandGate();
  const { options } = await makeCase([{ ...plain([]), turns: 3 }, plain([0]), plain([]), plain([])], {
    gate: hand.gate,
    slots: { build: 1, fixedOutput: 1 },
    onEvent: ({ kind }) => {
      if (kind === 'build-started') hand.shut();
      if (kind === 'build-finished') throw new Error('the listener broke');
    },
  });
  await expect(scheduleAlone(options).finished).rejects.toThrow('the listener broke');
  expect(hand.watched()).toBe(0);
});

it('drains: the judgement goes when nothing of it runs, and undone it stays', async () => {
  const calls: string[] = [];
  let building = true;
  const drain = createDrain({
    isBuilding: () => building,
    judging: {
      pause: () => calls.push('pause'),
      resume: () => calls.push('resume'),
      release: () => calls.push('release'),
    },
  });
  drain.ranDry();
  drain.start();
  drain.start();
  expect(calls.splice(0)).toEqual(['pause']);
  expect(combineGates([openGate, drain]).shutBecause()).toMatch(/drained/);
  drain.ranDry();
  expect(calls.splice(0)).toEqual(['release']);
  drain.undo();
  drain.undo();
  expect(calls.splice(0)).toEqual(['resume']);
  expect(drain.shutBecause()).toBeNull();
  building = false;
  drain.start();
  expect(calls).toEqual(['pause', 'release']);
});

it('holds an evaluation until it opens, or until nobody wants it', async () => {
  const hand = createHandGate();
  hand.shut();
  const cancel = new AbortController();
  const told: string[] = [];
  const waiting = untilOpen(hand.gate, cancel.signal, (reason) => told.push(reason));
  await expect.poll(() => told).toEqual(['it is shut']);
  hand.shut();
  hand.open();
  await waiting;
  expect(told).toHaveLength(1);
  hand.shut();
  const abandoned = untilOpen(hand.gate, cancel.signal, () => cancel.abort(new Error('not wanted')));
  await expect(abandoned).rejects.toThrow('not wanted');
  expect(hand.watched()).toBe(0);
});
