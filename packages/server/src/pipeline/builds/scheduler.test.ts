// Several demands at once on one scheduler, with builders that come, go and are lost: what each is told, and that
// nothing is built twice.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BuildClass, buildClasses } from '@eka-ci/core/build-order';
import type { BuildResult } from '@eka-ci/core/build-state';
import { DrvGraph, type DrvNode, type NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createFakeBuilder, type FakeBehaviour } from '../../builder/builder.fake.ts';
import type { ChangeListing, Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { newNode, newPath } from '../../database/testing/samples.ts';
import { queuedChange } from '../testing/changes.ts';
import { createHandPool, handMachine } from '../testing/hand-pool.ts';
import { behaviourOf, expectedStates, type Plan, plansArbitrary } from '../testing/planned-builds.ts';
import { createTestScheduler, type TestSchedulerOptions } from '../testing/schedule-alone.ts';
import type { BuildEvent, BuildOutcome } from './build-outcome.ts';
import type { KnownFailure } from './known-failures.ts';
import type { BuildDemand, Scheduler } from './scheduler.ts';

let folder: string;
let database: Database;
let scheduler: Scheduler | null = null;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eka-ci-scheduler-'));
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterEach(() => scheduler?.stop());
afterAll(async () => {
  await database.close();
  await rm(folder, { recursive: true });
});

interface Case {
  readonly plans: readonly Plan[];
  readonly nodes: readonly DrvNode[];
  readonly graph: DrvGraph;
  readonly ids: readonly NodeId[];
}

const makeCase = async (plans: readonly Plan[], more: Partial<DrvNode> = {}): Promise<Case> => {
  const nodes: DrvNode[] = [];
  for (const [index, { inputs, fate, fixedOutput }] of plans.entries()) {
    const named = inputs.map((input) => ({ path: nodes[input]!.path, outputs: ['out'] }));
    const system = fate === 'has no builder' ? 'riscv64-linux' : 'x86_64-linux';
    nodes.push(newNode(named, { path: newPath(`node-${index}`), system, fixedOutput, ...more }));
  }
  await database.derivations.save(nodes);
  const graph = new DrvGraph();
  return { plans, nodes, graph, ids: nodes.map((node) => graph.add(node)) };
};

const plan = (inputs: number[] = [], more: Partial<Plan> = {}): Plan => {
  return { inputs, fate: 'succeeds', fixedOutput: false, wanted: true, turns: 1, ...more };
};

const open = (options: Pick<TestSchedulerOptions, 'builder'> & Partial<TestSchedulerOptions>): Scheduler => {
  scheduler = createTestScheduler({ database, logs: { folder, maxBytes: 10_000 }, ...options });
  return scheduler;
};

const builderOf = (
  { plans, nodes }: Case,
  behave: (plan: Plan, drv: DrvPath, attempt: number) => FakeBehaviour = behaviourOf,
) => {
  const byPath = new Map(nodes.map((node, index) => [node.path, plans[index]!]));
  return createFakeBuilder({ behave: (path, attempt) => behave(byPath.get(path)!, path, attempt) });
};

const demandOf = (made: Case, more: Partial<BuildDemand> = {}): BuildDemand => ({
  class: 'open-change',
  arrivedAtMs: 0,
  change: null,
  graph: made.graph,
  wanted: new Set(made.ids),
  onEvent: () => {},
  signal: new AbortController().signal,
  ...more,
});

const statesOf = (outcomes: ReadonlyMap<DrvPath, BuildOutcome>): string[] =>
  [...outcomes.values()].map(({ state, cause }) => `${state} ${cause ?? ''}`.trim());

interface Wish {
  readonly roots: readonly number[];
  readonly class: BuildClass;
  /** Comes when so many events were told; is aborted so many events later, or never. */
  readonly atEvent: number;
  readonly abortedAfter: number | null;
}

const wishArbitrary: fc.Arbitrary<Wish> = fc.record({
  roots: fc.array(fc.nat(24), { minLength: 1, maxLength: 4 }),
  class: fc.constantFrom(...buildClasses),
  atEvent: fc.nat(20),
  abortedAfter: fc.option(fc.nat(12)),
});

describe('several demands', () => {
  it('each get what the rules give, whoever else wants it or leaves, and nothing is built twice', async () => {
    const wishes = fc.array(wishArbitrary, { minLength: 1, maxLength: 5 });
    const capacity = fc.constantFrom(0, 10, 1_000_000);
    await fc.assert(
      fc.asyncProperty(plansArbitrary, wishes, capacity, async (plans, wanted, keptNodes) => {
        const all = plans.map((one) => ({ ...one, wanted: true }));
        const made = await makeCase(all);
        const built = new Map<DrvPath, number>();
        // As a store does: what somebody built meanwhile is valid.
        const builder = builderOf(made, (one, drv, attempt) =>
          built.has(drv)
            ? { turns: 0, result: { kind: 'already-valid', durationMs: 0 } }
            : behaviourOf(one, drv, attempt),
        );
        const running = open({
          builder,
          keptNodes,
          onRecorded: (transitions) => {
            for (const { drv, cause } of transitions)
              if (cause === 'built') built.set(drv, (built.get(drv) ?? 0) + 1);
          },
        });
        const waiting = [...wanted].sort((a, b) => a.atEvent - b.atEvent);
        const finished: {
          wish: Wish;
          outcomes: Promise<ReadonlyMap<DrvPath, BuildOutcome>>;
          left: boolean;
        }[] = [];
        let events = 0;
        const begin = (wish: Wish): void => {
          const abort = new AbortController();
          const [first = 0] = wish.roots;
          const roots = wish.roots.map((root) => made.ids[root % made.ids.length]!);
          const mine = new Set(made.graph.closureOf([made.ids[first % made.ids.length]!, ...roots]));
          // What is there already is not asked for again, as by a change that asks the store.
          for (const node of mine) if (built.has(made.graph.pathOf(node))) mine.delete(node);
          const record: (typeof finished)[0] = { wish, outcomes: Promise.resolve(new Map()), left: false };
          let left = wish.abortedAfter ?? Number.POSITIVE_INFINITY;
          const onEvent = (): void => {
            events += 1;
            if (left-- === 0) {
              record.left = true;
              abort.abort();
            }
            for (let next = waiting[0]; next !== undefined && next.atEvent <= events; next = waiting[0]) {
              waiting.shift();
              begin(next);
            }
          };
          const demand = demandOf(made, { class: wish.class, wanted: mine, onEvent, signal: abort.signal });
          record.outcomes = running.demand(demand).finished;
          finished.push(record);
        };
        while (waiting.length > 0 || finished.length === 0) {
          const next = waiting.shift();
          if (next !== undefined) begin(next);
          for (const { outcomes } of finished) await outcomes;
        }
        const expected = expectedStates(all);
        for (const { outcomes, left } of finished) {
          for (const [drv, { state, cause }] of await outcomes) {
            const possible = expected[made.nodes.findIndex(({ path }) => path === drv)] ?? [];
            if (left && state === 'interrupted' && cause === 'cancelled') continue;
            expect(possible).toContain(state);
          }
        }
        expect([...built.values()].filter((count) => count > 1)).toEqual([]);
        // What one took over from another that left, and needed no more, ends for nobody: soon, and none waits for it.
        await expect
          .poll(() => [builder.running.size, running.active(), running.queued()])
          .toEqual([0, [], []]);
        expect(running.isBuilding()).toBe(false);
        expect(await running.sweep()).toBe(0);
        await running.stop();
        const stored = await database.builds.statesOf(made.nodes.map(({ path }) => path));
        expect(
          [...stored.values()].filter(({ state }) => state === 'queued' || state === 'building'),
        ).toEqual([]);
      }),
      { numRuns: 60, plugins: [fc.timeout(10_000)] },
    );
  });

  it('serve the class first, then the least work that is left, and a shared build at the best of its places', async () => {
    const made = await makeCase([plan(), plan(), plan(), plan(), plan(), plan()]);
    const builder = builderOf(made);
    const slots = { build: 1, fixedOutput: 1 };
    const hold = { reason: 'wait' as string | null, watchers: new Set<() => void>() };
    const running = open({
      builder,
      slots,
      gate: {
        shutBecause: () => hold.reason,
        look: () => Promise.resolve(hold.reason),
        watch: (onChange) => {
          hold.watchers.add(onChange);
          return () => void hold.watchers.delete(onChange);
        },
      },
    });
    const wants = (...nodes: number[]) => new Set(nodes.map((node) => made.ids[node]!));
    const ends = [
      running.demand(demandOf(made, { wanted: wants(0), class: 'base-branch' })),
      running.demand(demandOf(made, { wanted: wants(1, 2, 3) })),
      running.demand(demandOf(made, { wanted: wants(3, 4) })),
      running.demand(demandOf(made, { wanted: wants(5), class: 'ordered' })),
    ];
    await expect.poll(() => running.queued().length).toBe(6);
    hold.reason = null;
    for (const watcher of [...hold.watchers]) watcher();
    await Promise.all(ends.map(({ finished }) => finished));
    const order = builder.calls.map((drv) => made.nodes.findIndex(({ path }) => path === drv));
    expect(order[0]).toBe(5);
    expect(new Set(order.slice(1, 3))).toEqual(new Set([3, 4]));
    expect(new Set(order.slice(3, 5))).toEqual(new Set([1, 2]));
    expect(order[5]).toBe(0);
  });

  it('tell who comes late what runs already, and go on for them when the first leaves', async () => {
    const made = await makeCase([plan([], { turns: 40 }), plan([0])]);
    const builder = builderOf(made);
    const running = open({ builder });
    const abort = new AbortController();
    const [first, second]: BuildEvent['kind'][][] = [[], []];
    let late: Promise<ReadonlyMap<DrvPath, BuildOutcome>> | null = null;
    const early = running.demand(
      demandOf(made, {
        signal: abort.signal,
        onEvent: ({ kind }) => {
          first!.push(kind);
          if (first!.length > 1) return;
          const demand = demandOf(made, { onEvent: (event) => second!.push(event.kind) });
          late = running.demand(demand).finished;
          running.sweep().then(() => abort.abort(), expect.unreachable);
        },
      }),
    );
    // All that it wanted is wanted by another: it leaves at once, with nothing to tell.
    expect(statesOf(await early.finished)).toEqual([]);
    expect(statesOf(await late!)).toEqual(['succeeded built', 'succeeded built']);
    expect(second).toEqual(['build-started', 'build-finished', 'build-started', 'build-finished']);
    expect(builder.calls).toHaveLength(2);
  });

  it('build once more what was wanted again while it was being ended', async () => {
    const made = await makeCase([plan([], { turns: 30 })]);
    const builder = builderOf(made);
    const running = open({ builder });
    const abort = new AbortController();
    let again: Promise<ReadonlyMap<DrvPath, BuildOutcome>> | null = null;
    const onEvent = ({ kind }: BuildEvent): void => {
      if (kind !== 'build-started' || again !== null) return;
      abort.abort();
      again = running.demand(demandOf(made)).finished;
    };
    const first = await running.demand(demandOf(made, { onEvent, signal: abort.signal })).finished;
    expect(statesOf(first).filter((state) => state !== 'interrupted cancelled')).toEqual([]);
    expect(statesOf(await again!)).toEqual(['succeeded built']);
  });

  it('say for which changes each transition is', async () => {
    const made = await makeCase([plan(), plan([0])]);
    const change = (id: string): ChangeListing => queuedChange(id);
    const told = new Map<string, Set<string>>();
    const running = open({
      builder: builderOf(made),
      onRecorded: (transitions, changesOf) => {
        for (const { drv, to } of transitions) {
          if (to !== 'succeeded') continue;
          told.set(drv, new Set(changesOf(drv).map(({ id }) => id)));
        }
      },
    });
    await Promise.all([
      running.demand(demandOf(made, { change: change('both') })).finished,
      running.demand(demandOf(made, { change: change('one'), wanted: new Set([made.ids[0]!]) })).finished,
    ]);
    expect([...told.values()].map((ids) => [...ids].sort())).toEqual([['both', 'one'], ['both']]);
  });

  it('fail together where nothing can be recorded, and begin anew after it', async () => {
    const made = await makeCase([plan([], { turns: 1000 }), plan()]);
    let broken = true;
    const builds: Database['builds'] = {
      ...database.builds,
      recordTransitions: (transitions) =>
        broken && transitions.some(({ to }) => to === 'succeeded')
          ? Promise.reject(Object.assign(new Error('the disk is full'), { code: 'DATABASE_FULL' }))
          : database.builds.recordTransitions(transitions),
    };
    const builder = builderOf(made);
    const running = open({ builder, database: { builds } });
    const both = [running.demand(demandOf(made)), running.demand(demandOf(made))];
    for (const { finished } of both) await expect(finished).rejects.toThrow('the disk is full');
    expect(builder.running.size).toBe(0);
    broken = false;
    const quick = await makeCase([plan()]);
    const again = builderOf(quick);
    const other = open({ builder: again, database: { builds } });
    expect(statesOf(await other.demand(demandOf(quick)).finished)).toEqual(['succeeded built']);
    await running.stop();
  });

  it('take what was built since they asked the store, and build what the store lost since', async () => {
    const made = await makeCase([plan(), plan([0])]);
    const builder = builderOf(made);
    const running = open({ builder });
    const early = running.rememberSuccesses();
    const lower = new Set([made.ids[0]!]);
    await running.demand(demandOf(made, { wanted: lower })).finished;
    const told: string[] = [];
    const onEvent = (event: BuildEvent): void => void told.push(event.kind);
    const outcomes = await running.demand(demandOf(made, { builtSince: early, onEvent })).finished;
    expect(statesOf(outcomes)).toEqual(['succeeded built', 'succeeded built']);
    expect(told.toSorted()).toEqual(['build-finished', 'build-finished', 'build-started']);
    expect(builder.calls).toHaveLength(2);
    // Asked after all that: its outputs were collected.
    const late = running.rememberSuccesses();
    await running.demand(demandOf(made, { wanted: lower, builtSince: late })).finished;
    expect(builder.calls).toHaveLength(3);
    expect(early.outcomes.size).toBe(1);
  });

  it('refuse a graph that cannot be built, and that demand alone', async () => {
    const made = await makeCase([plan()]);
    const graph = new DrvGraph();
    const top = graph.add(newNode([{ path: newPath('unknown-1'), outputs: ['out'] }]));
    const running = open({ builder: builderOf(made) });
    const lacking = { graph, wanted: new Set([top, graph.inputsOf(top)[0]!]) };
    const [bad, good] = [running.demand(demandOf(made, lacking)), running.demand(demandOf(made))];
    await expect(bad.finished).rejects.toMatchObject({ code: 'DRV_GRAPH_INCOMPLETE' });
    expect(statesOf(await good.finished)).toEqual(['succeeded built']);
  });
});

describe('builders', () => {
  it('are used by what they offer, their free slots and their speed, and local ones for what prefers it', async () => {
    const made = await makeCase(Array.from({ length: 6 }, () => plan([], { turns: 20 })));
    const local = await makeCase([plan()], { preferLocalBuild: true });
    const special = await makeCase([plan()], { requiredFeatures: ['kvm'] });
    const arm = await makeCase([plan()], { system: 'aarch64-linux' });
    const all = [made, local, special, arm];
    const byPath = new Map(
      all.flatMap(({ nodes, plans }) => nodes.map((node, at) => [node.path, plans[at]!])),
    );
    const fake = (systems: string[], features: string[] = []) =>
      createFakeBuilder({
        systems,
        features,
        behave: (path, attempt) => behaviourOf(byPath.get(path)!, path, attempt),
      });
    const here = fake(['x86_64-linux']);
    const fast = fake(['x86_64-linux', 'aarch64-linux']);
    const picky = fake(['x86_64-linux'], ['kvm']);
    const { pool } = createHandPool([
      handMachine('here', here, { isLocal: true }),
      handMachine('fast', fast, { speed: 4, slots: { build: 4, fixedOutput: 1 } }),
      handMachine('picky', picky, { mandatoryFeatures: ['kvm'] }),
    ]);
    const running = open({ builder: here, pool });
    const ends = all.map((one) => running.demand(demandOf(one)).finished);
    await Promise.all(ends);
    const named = ({ nodes }: Case) => nodes.map(({ path }) => path);
    expect(here.calls).toEqual(expect.arrayContaining(named(local)));
    expect(picky.calls).toEqual(named(special));
    expect(fast.calls).toEqual(expect.arrayContaining(named(arm)));
    expect(fast.calls.length).toBeGreaterThan(here.calls.length);
  });

  it('that are lost fail no build: it goes elsewhere, or waits until one is back', async () => {
    const lost: BuildResult = {
      kind: 'failed',
      cause: 'lost-builder',
      failedDrv: newPath(),
      message: 'gone',
      durationMs: 1,
    };
    const made = await makeCase([plan(), plan([0]), plan()], { system: 'aarch64-linux' });
    let isThere = true;
    const far = createFakeBuilder({
      systems: ['aarch64-linux'],
      behave: () => ({ turns: 3, result: isThere ? { kind: 'built', durationMs: 1 } : lost }),
    });
    const here = createFakeBuilder({ behave: () => ({ result: { kind: 'built', durationMs: 1 } }) });
    const hand = createHandPool([handMachine('here', here, { isLocal: true }), handMachine('far', far)]);
    const running = open({ builder: here, pool: hand.pool });
    isThere = false;
    const retried: string[] = [];
    const onEvent = (event: BuildEvent): void => {
      if (event.kind === 'retried') retried.push(event.cause);
    };
    const { finished } = running.demand(demandOf(made, { onEvent }));
    await expect.poll(() => retried).toEqual(['lost-builder', 'lost-builder']);
    const why = running.why(made.nodes[2]!.path);
    expect(why).toBe('node-2 waits for the builder far, which is out: gone.');
    expect(running.why(made.nodes[1]!.path)).toMatch(
      /^node-1 waits for node-0, which waits for the builder far/,
    );
    isThere = true;
    hand.back('far');
    expect(statesOf(await finished)).toEqual(Array(3).fill('succeeded built'));
  });

  it('that die of one build each time give it up in the end', async () => {
    const made = await makeCase([plan()], { system: 'aarch64-linux' });
    const failedDrv = made.nodes[0]!.path;
    const far = createFakeBuilder({
      systems: ['aarch64-linux'],
      behave: () => ({
        result: { kind: 'failed', cause: 'lost-builder', failedDrv, message: 'gone', durationMs: 1 },
      }),
    });
    const hand = createHandPool([handMachine('far', far)]);
    const pool = { ...hand.pool, lost: () => {} };
    const outcomes = await open({ builder: far, pool }).demand(demandOf(made)).finished;
    expect(statesOf(outcomes)).toEqual(['failed lost-builder']);
    expect(far.calls).toHaveLength(5);
  });

  it('that nobody has make a build unsatisfiable, with what all of them lack', async () => {
    const made = await makeCase([plan(), plan([0])], { requiredFeatures: ['quantum'] });
    const here = builderOf(made);
    const hand = createHandPool([handMachine('here', here, { isLocal: true }), handMachine('far', here)]);
    const outcomes = await open({ builder: here, pool: hand.pool }).demand(demandOf(made)).finished;
    expect(statesOf(outcomes)).toEqual(['unsatisfiable', 'unsatisfiable']);
    expect([...outcomes.values()][0]?.message).toMatch(/feature quantum \(here has none\); .*far has none/);
  });
});

describe('what is wanted', () => {
  it('is not built beside another that makes the same outputs', async () => {
    const twins = [newNode([], { path: newPath('one-1') }), newNode([], { path: newPath('two-1') })];
    const [one, two] = [twins[0]!, { ...twins[1]!, outputs: twins[0]!.outputs }];
    await database.derivations.save([one, two]);
    const graph = new DrvGraph();
    const wanted = new Set([graph.add(one), graph.add(two)]);
    let most = 0;
    const builder = createFakeBuilder({
      behave: () => ({ turns: 5, result: { kind: 'built', durationMs: 1 } }),
      onChange: (running) => {
        most = Math.max(most, running.size);
      },
    });
    const made = { plans: [], nodes: [one, two], graph, ids: [...wanted] };
    const outcomes = await open({ builder }).demand(demandOf(made, { wanted })).finished;
    expect([most, outcomes.size]).toEqual([1, 2]);
  });

  it('and is known to fail is not tried, unless that is asked for', async () => {
    const made = await makeCase([plan(), plan([0]), plan()]);
    const builder = builderOf(made);
    const known: KnownFailure = {
      ...{ cause: 'builder-exit', message: 'failed before', attempt: 3, logFile: 'a.log' },
      ...{ lastLines: ['no'], endedAtMs: 1, builtAgain: false },
    };
    const running = open({
      builder,
      findKnownFailures: (graph, asked) => {
        const node = graph.find(made.nodes[0]!.path)!;
        return Promise.resolve(new Map(asked.has(node) ? [[node, known]] : []));
      },
    });
    const outcomes = await running.demand(demandOf(made)).finished;
    const [first, second, third] = made.nodes.map(({ path }) => outcomes.get(path));
    expect(first).toMatchObject({ state: 'failed', attempt: 3, logFile: 'a.log', lastLines: ['no'] });
    expect(second).toMatchObject({ state: 'dependency-failed', culprit: made.nodes[0]!.path });
    expect(third).toMatchObject({ state: 'succeeded' });
    expect(builder.calls).toEqual([made.nodes[2]!.path]);
    for (const believes of ['repeated-failures', 'no-failure'] as const) {
      const again = await running.demand(demandOf(made, { believes })).finished;
      expect(statesOf(again)).toEqual(Array(3).fill('succeeded built'));
    }
  });

  it('and could run but does not is found by a sweep, and told', async () => {
    const made = await makeCase([plan()], { system: 'aarch64-linux' });
    const builder = createFakeBuilder({
      systems: ['aarch64-linux'],
      behave: () => ({ result: { kind: 'built', durationMs: 1 } }),
    });
    const hand = createHandPool([handMachine('far', builder)]);
    hand.out.set('far', { reason: 'gone', retryAtMs: 0 });
    const repaired: (readonly DrvPath[])[] = [];
    const running = open({ builder, pool: hand.pool, onRepaired: (found) => repaired.push(found) });
    const { finished } = running.demand(demandOf(made));
    await expect.poll(() => running.why(made.nodes[0]!.path)).toMatch(/out: gone/);
    expect(await running.sweep()).toBe(0);
    // It is back, and nobody was told.
    hand.out.clear();
    expect(await running.sweep()).toBe(1);
    expect(statesOf(await finished)).toEqual(['succeeded built']);
    expect(repaired).toEqual([[made.nodes[0]!.path]]);
  });
});
