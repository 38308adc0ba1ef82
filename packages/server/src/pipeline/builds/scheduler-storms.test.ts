// The scheduler in random storms: demands come and leave that count different things as there, builders are lost, go
// and come back, the gate shuts, the graph is made anew, the database fails. Everything must come to its end. Some of it
// happens between any two steps of a turn, where the turn lets others have theirs.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { buildClasses } from '@eka-ci/core/build-order';
import { isSettled } from '@eka-ci/core/build-state';
import { DrvGraph, type DrvNode } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createFakeBuilder } from '../../builder/builder.fake.ts';
import type { BuilderPool, PooledBuilder } from '../../builder/builder-pool.ts';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { newNode, newPath } from '../../database/testing/samples.ts';
import type { Breath } from '../../lib/breathe.ts';
import { behaviourOf, type Plan, plansArbitrary } from '../testing/planned-builds.ts';
import { createTestScheduler } from '../testing/schedule-alone.ts';
import type { BuildOutcome } from './build-outcome.ts';
import type { BuildDemand, Scheduler } from './scheduler.ts';
import type { StartGate } from './start-gate.ts';

let folder: string;
let database: Database;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eka-ci-storms-'));
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(async () => {
  await database.close();
  await rm(folder, { recursive: true });
});

const index = fc.nat(24);
const many = <Value>(of: fc.Arbitrary<Value>, maxLength: number) => fc.array(of, { maxLength });

const stormArbitrary = fc.record({
  plans: plansArbitrary,
  /** By node. */
  needs: fc.array(fc.constantFrom('x86', 'arm', 'kvm'), { minLength: 25, maxLength: 25 }),
  /** The second has the outputs of the first. */
  twins: many(fc.tuple(index, index), 3),
  /** Whose output paths nobody knows before. */
  floating: many(index, 3),
  wishes: fc.array(
    fc.record({
      roots: fc.array(index, { minLength: 1, maxLength: 4 }),
      /** What it counts as there. */
      there: many(index, 6),
      class: fc.constantFrom(...buildClasses),
      atEvent: fc.nat(25),
      abortedAfter: fc.option(fc.nat(12)),
      /** So many breaths after it was asked for: while it is taken up, or others are, or leave. */
      abortedAtBreath: fc.option(fc.nat(150)),
    }),
    { minLength: 1, maxLength: 6 },
  ),
  /** So many events after the one before. */
  moves: many(
    fc.record({
      after: fc.nat(4),
      kind: fc.constantFrom('shut', 'open', 'sweep', 'rest', 'remove', 'return'),
      node: index,
    }),
    25,
  ),
  /** Which calls of machines lose the machine, at most four: the fifth would be believed. */
  lost: fc.uniqueArray(fc.nat(15), { maxLength: 4 }),
  /** Which calls of the database fail. */
  faults: fc.oneof(fc.constant<number[]>([]), fc.uniqueArray(fc.nat(60), { maxLength: 3 })),
  keptNodes: fc.constantFrom(0, 5, 1_000_000),
  /** Steps between two breaths of a turn. */
  stepsABreath: fc.constantFrom(1, 3, 10),
  /** In so many of them something happens. */
  eventEvery: fc.constantFrom(1, 5, 40),
  /** The server is stopped in that one. */
  stopsAtBreath: fc.option(fc.nat(400), { freq: 3 }),
  slots: fc.integer({ min: 1, max: 3 }),
});

type Storm = typeof stormArbitrary extends fc.Arbitrary<infer Value> ? Value : never;
type Wish = Storm['wishes'][number];

const systems = { x86: 'x86_64-linux', arm: 'aarch64-linux', kvm: 'aarch64-linux' } as const;

const makeNodes = ({ plans, needs, twins, floating }: Storm): DrvNode[] => {
  const nodes: DrvNode[] = [];
  for (const [at, { inputs, fate, fixedOutput }] of plans.entries()) {
    const named = inputs.map((input) => ({ path: nodes[input]!.path, outputs: ['out'] }));
    const need = needs[at]!;
    const system = fate === 'has no builder' ? 'riscv64-linux' : systems[need];
    const requiredFeatures = need === 'kvm' ? ['kvm'] : [];
    const twinOf = twins.find(([, second]) => second === at)?.[0];
    const outputs = floating.includes(at) ? [{ name: 'out', path: '' }] : nodes[twinOf ?? at]?.outputs;
    const more = outputs === undefined ? {} : { outputs };
    nodes.push(
      newNode(named, { path: newPath(`node-${at}`), system, requiredFeatures, fixedOutput, ...more }),
    );
  }
  return nodes;
};

/** What may become of each, whoever counts what as there. */
const possibleStates = ({ plans, needs }: Storm): Set<string>[] => {
  const states: Set<string>[] = [];
  for (const [at, { inputs, fate }] of plans.entries()) {
    const own = new Set<string>();
    for (const input of inputs) for (const state of states[input]!) own.add(`below ${state}`);
    const possible = new Set<string>();
    if (fate === 'succeeds' || fate === 'recovers' || fate.endsWith('once')) possible.add('succeeded');
    else if (fate === 'times out') possible.add('interrupted');
    else if (fate === 'has no builder') possible.add('unsatisfiable');
    else possible.add('failed');
    // Its only machine may be taken away.
    if (needs[at] === 'kvm' || own.has('below unsatisfiable')) possible.add('unsatisfiable');
    const badInputs = ['failed', 'interrupted', 'dependency-failed'];
    if (badInputs.some((state) => own.has(`below ${state}`))) possible.add('dependency-failed');
    states.push(possible);
  }
  return states;
};

const createHandGate = () => {
  let reason: string | null = null;
  const watchers = new Set<() => void>();
  const gate: StartGate = {
    shutBecause: () => reason,
    look: () => Promise.resolve(reason),
    watch: (onChange) => {
      watchers.add(onChange);
      return () => void watchers.delete(onChange);
    },
  };
  return {
    gate,
    turn: (to: string | null): void => {
      reason = to;
      for (const watcher of [...watchers]) watcher();
    },
  };
};

/** Machines that are lost come back by themselves a little later. */
const createMachines = (storm: Storm, nodes: readonly DrvNode[], built: ReadonlySet<DrvPath>) => {
  const plansOf = new Map<DrvPath, Plan>(nodes.map(({ path }, at) => [path, storm.plans[at]!]));
  const outputsOf = new Map(nodes.map(({ path, outputs }) => [path, outputs[0]!.path || path]));
  const attempts = new Map<DrvPath, number>();
  const running = new Set<string>();
  let remoteCalls = 0;
  const machine = (name: string, isLocal: boolean, offer: { systems: string[]; features: string[] }) => {
    const fake = createFakeBuilder({
      ...offer,
      behave: (path) => {
        const attempt = (attempts.get(path) ?? 0) + 1;
        const plan = plansOf.get(path)!;
        if (!isLocal && storm.lost.includes(remoteCalls++)) {
          const lost = { kind: 'failed', cause: 'lost-builder', failedDrv: path, message: 'gone' } as const;
          return { turns: plan.turns, result: { ...lost, durationMs: 1 } };
        }
        attempts.set(path, attempt);
        if (built.has(path)) return { turns: 0, result: { kind: 'already-valid', durationMs: 0 } };
        return behaviourOf(plan, path, attempt);
      },
    });
    const pooled: PooledBuilder = {
      ...fake,
      ...{ name, isLocal, speed: 1, mandatoryFeatures: [] },
      slots: { build: storm.slots, fixedOutput: 1 },
      async build(request, given, signal) {
        const log = (line: string): void => {
          given.phase(line);
          given.log(line);
        };
        const observer = { ...given, log };
        const output = outputsOf.get(request.drvPath)!;
        expect(running).not.toContain(output);
        running.add(output);
        try {
          return await fake.build(request, observer, signal);
        } finally {
          running.delete(output);
        }
      },
    };
    return pooled;
  };
  const stay = [
    machine('here', true, { systems: ['x86_64-linux'], features: [] }),
    machine('fast', false, { systems: ['x86_64-linux', 'aarch64-linux'], features: [] }),
    machine('arm', false, { systems: ['aarch64-linux'], features: [] }),
  ];
  const all = [...stay, machine('kvm', false, { systems: ['aarch64-linux'], features: ['kvm'] })];
  let now = all;
  const out = new Set<string>();
  const watchers = new Set<() => void>();
  const tell = (): void => [...watchers].forEach((watcher) => watcher());
  const comeBack = async (name: string): Promise<void> => {
    for (let turns = 0; turns < 5; turns++) await turn();
    out.delete(name);
    tell();
  };
  const outage = { reason: 'it is out', retryAtMs: 0 };
  const pool: BuilderPool = {
    builders: () => now,
    outageOf: (name) => (out.has(name) || !now.some((one) => one.name === name) ? outage : null),
    lost: (name) => {
      if (out.has(name)) return;
      out.add(name);
      tell();
      comeBack(name).catch(() => {});
    },
    answered: () => {},
    watch: (onChange) => {
      watchers.add(onChange);
      return () => void watchers.delete(onChange);
    },
    close: () => Promise.resolve(),
  };
  const set = (machines: PooledBuilder[]): void => {
    now = machines;
    tell();
  };
  return {
    pool,
    running,
    remove: () => set(stay),
    bringBack: () => set(all),
    names: all.map(({ name }) => name),
  };
};

class Fault extends Error {
  readonly code = 'DATABASE_FULL';
}

const failingBuilds = ({ faults }: Storm): Database['builds'] => {
  let calls = 0;
  const may = (): void => {
    if (faults.includes(calls++)) throw new Fault('the disk is full');
  };
  return {
    ...database.builds,
    async statesOf(drvs) {
      may();
      return database.builds.statesOf(drvs);
    },
    async recordTransitions(transitions) {
      may();
      return database.builds.recordTransitions(transitions);
    },
  };
};

/** What somebody finds who looks while a turn is at work. */
const lookAt = (scheduler: Scheduler, nodes: readonly DrvNode[], slots: number): void => {
  const queued = scheduler.queued();
  const active = scheduler.active().map(({ drv }) => drv);
  expect([queued.length, new Set(queued).size]).toEqual([scheduler.queuedCount(), queued.length]);
  expect(queued.filter((drv) => active.includes(drv))).toEqual([]);
  // What runs may be what nobody wants any more, and is being ended.
  if (queued.length > 0) expect(scheduler.isBuilding()).toBe(true);
  expect(new Set(active).size).toBe(active.length);
  for (const drv of active) expect(scheduler.why(drv)).toMatch(/is being built by/);
  for (const { path } of nodes) scheduler.why(path);
  for (const name of ['here', 'fast', 'arm']) {
    expect(scheduler.slotsInUse(name).build).toBeLessThanOrEqual(slots);
  }
};

interface Asked {
  readonly wanted: number;
  readonly outcomes: ReadonlyMap<DrvPath, BuildOutcome>;
  readonly left: boolean;
}

/** Of all storms, while a turn was at work. */
const between = { asked: 0, aborted: 0, moved: 0, ended: 0, stopped: 0 };

/** Carries out all wishes of a storm. @returns what each came to */
const ride = async (storm: Storm) => {
  const nodes = makeNodes(storm);
  await database.derivations.save(nodes);
  const graph = new DrvGraph();
  const ids = nodes.map((node) => graph.add(node));
  const at = (index: number): number => index % nodes.length;
  const built = new Set<DrvPath>();
  const twice: DrvPath[] = [];
  const machines = createMachines(storm, nodes, built);
  const hand = createHandGate();
  const swept: Promise<number>[] = [];
  const seen: unknown[] = [];
  const aborts: { readonly atBreath: number | null; readonly abort: AbortController }[] = [];
  const open = new Set<() => number>();
  let [steps, breaths] = [0, 0];
  const look = (): void => {
    try {
      lookAt(scheduler, nodes, storm.slots);
      for (const leftS of [...open].map((ask) => ask())) expect(leftS).toBeGreaterThanOrEqual(0);
    } catch (error) {
      seen.push(error);
    }
  };
  const isStopped = (): boolean => storm.stopsAtBreath !== null && breaths >= storm.stopsAtBreath;
  const stop = (): void => {
    between.stopped += 1;
    waiting.length = 0;
    moves.length = 0;
    for (const { abort } of aborts) abort.abort();
    scheduler.stop().catch((error: unknown) => seen.push(error));
  };
  const breath: Breath = {
    isDue: () => ++steps % storm.stepsABreath === 0,
    async take() {
      breaths += 1;
      const before = [asked.length, moves.length, machines.running.size] as const;
      for (const { atBreath, abort } of aborts) {
        if (atBreath !== breaths || abort.signal.aborted) continue;
        abort.abort();
        between.aborted += 1;
      }
      if (breaths % storm.eventEvery === 0) onAnything();
      if (breaths === storm.stopsAtBreath) stop();
      look();
      await turn();
      look();
      between.asked += asked.length - before[0];
      between.moved += before[1] - moves.length;
      if (machines.running.size < before[2]) between.ended += 1;
    },
  };
  const scheduler: Scheduler = createTestScheduler({
    ...{ builder: machines.pool.builders()[0]!, pool: machines.pool, gate: hand.gate },
    ...{ keptNodes: storm.keptNodes, logs: { folder, maxBytes: 10_000 } },
    database: { builds: failingBuilds(storm) },
    breath,
    onRanDry: () => hand.turn(null),
    onRecorded: (transitions) => {
      for (const { drv, cause } of transitions) {
        if (cause !== 'built') continue;
        if (built.has(drv)) twice.push(drv);
        built.add(drv);
      }
    },
  });
  const rest = (node: number): void => {
    const step = {
      step: 'interrupt',
      cause: 'cancelled',
      culprit: null,
      message: 'rests',
      logFile: null,
    } as const;
    scheduler.recordAtRest([{ drv: nodes[at(node)]!.path, ...step }]).catch(() => {});
  };
  const move = ({ kind, node }: Storm['moves'][number]): void => {
    if (kind === 'shut') hand.turn('it is shut');
    if (kind === 'open') hand.turn(null);
    if (kind === 'remove') machines.remove();
    if (kind === 'return') machines.bringBack();
    if (kind === 'rest') rest(node);
    // A fault of the database rejects it as it does all else.
    if (kind === 'sweep') swept.push(scheduler.sweep().catch(() => 0));
  };
  const waiting = [...storm.wishes].sort((a, b) => a.atEvent - b.atEvent);
  const moves = [...storm.moves];
  const asked: Promise<Asked>[] = [];
  let events = 0;
  let movedAt = 0;
  const onAnything = (): void => {
    events += 1;
    for (let next = moves[0]; next !== undefined && movedAt + next.after <= events; next = moves[0]) {
      moves.shift();
      movedAt = events;
      move(next);
    }
    while (waiting[0] !== undefined && waiting[0].atEvent <= events) begin(waiting.shift()!);
  };
  const carryOut = async (wish: Wish): Promise<Asked> => {
    const there = new Set(wish.there.map((node) => ids[at(node)]!));
    const abort = new AbortController();
    const { abortedAtBreath } = wish;
    aborts.push({ atBreath: abortedAtBreath === null ? null : breaths + 1 + abortedAtBreath, abort });
    let untilAbort = wish.abortedAfter ?? Number.POSITIVE_INFINITY;
    for (;;) {
      const wanted = new Set(graph.closureOf(wish.roots.map((root) => ids[at(root)]!)));
      // As one that asks the store, which may answer each another way where something can be fetched.
      for (const node of wanted) if (there.has(node) || built.has(graph.pathOf(node))) wanted.delete(node);
      const demand: BuildDemand = {
        ...{ class: wish.class, arrivedAtMs: 0, change: null, graph, wanted, signal: abort.signal },
        onEvent: (event) => {
          const drv = 'outcome' in event ? event.outcome.drv : event.drv;
          if (!wanted.has(graph.find(drv) ?? -1)) seen.push(`told of ${drv}, which it does not want`);
          if (untilAbort-- === 0) abort.abort();
          onAnything();
        },
      };
      const builds = scheduler.demand(demand);
      open.add(builds.expectedLeftS);
      try {
        const outcomes = await builds.finished;
        return { wanted: wanted.size, outcomes, left: abort.signal.aborted };
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        if (abort.signal.aborted) return { wanted: 0, outcomes: new Map(), left: true };
      } finally {
        open.delete(builds.expectedLeftS);
      }
    }
  };
  const begin = (wish: Wish): void => {
    asked.push(carryOut(wish));
  };
  begin(waiting.shift()!);
  const ended: Asked[] = [];
  for (let read = 0; read < asked.length || waiting.length > 0; read++) {
    if (read === asked.length) begin(waiting.shift()!);
    ended.push(await asked[read]!);
  }
  const found = await Promise.all(swept);
  return { nodes, ended, scheduler, machines, swept: found, twice, seen, isStopped: isStopped() };
};

it('is through every storm with everything settled, nothing running, and nobody told what is not so', async () => {
  await fc.assert(
    fc.asyncProperty(stormArbitrary, async (storm) => {
      const { nodes, ended, scheduler, machines, swept, twice, seen, isStopped } = await ride(storm);
      const possible = possibleStates(storm);
      for (const { outcomes, left, wanted } of ended) {
        if (!left) expect(outcomes.size).toBe(wanted);
        for (const [drv, { state, cause }] of outcomes) {
          if (left && state === 'interrupted' && cause === 'cancelled') continue;
          expect(possible[nodes.findIndex(({ path }) => path === drv)]).toContain(state);
          if (state === 'interrupted') expect(cause).toBe('timeout');
        }
      }
      expect([twice, seen]).toEqual([[], []]);
      expect(swept.filter((found) => found > 0)).toEqual([]);
      if (!isStopped) expect(await scheduler.sweep().catch(() => 0)).toBe(0);
      // What somebody took over and needs no more is ended behind the last demand.
      await scheduler.stop();
      expect([machines.running.size, scheduler.active(), scheduler.queued()]).toEqual([0, [], []]);
      expect([scheduler.isBuilding(), scheduler.queuedCount()]).toEqual([false, 0]);
      const free = { build: 0, fixedOutput: 0 };
      for (const name of machines.names) expect(scheduler.slotsInUse(name)).toEqual(free);
      if (storm.faults.length > 0) return;
      const stored = await database.builds.statesOf(nodes.map(({ path }) => path));
      expect([...stored.values()].filter(({ state }) => !isSettled(state))).toEqual([]);
    }),
    { numRuns: 100, plugins: [fc.timeout(20_000)] },
  );
  // Or it would have proven nothing.
  for (const times of Object.values(between)) expect(times).toBeGreaterThan(5);
});
