import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DrvGraph, type DrvNode, type NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFakeBuilder, type FakeBuilder } from '../../builder/builder.fake.ts';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { newNode, newPath } from '../../database/testing/samples.ts';
import {
  attemptsExpected,
  behaviourOf,
  expectedStates,
  type Plan,
  plansArbitrary,
} from '../testing/planned-builds.ts';
import { type AloneOptions, scheduleAlone } from '../testing/schedule-alone.ts';
import type { BuildEvent, BuildOutcome } from './build-outcome.ts';

interface Case {
  readonly plans: readonly Plan[];
  readonly nodes: readonly DrvNode[];
  readonly graph: DrvGraph;
  readonly ids: readonly NodeId[];
}

let folder: string;
let database: Database;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eka-ci-schedule-'));
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(async () => {
  await database.close();
  await rm(folder, { recursive: true });
});

const makeCase = async (plans: readonly Plan[]): Promise<Case> => {
  const nodes: DrvNode[] = [];
  for (const [index, { inputs, fate, fixedOutput }] of plans.entries()) {
    const named = inputs.map((input) => ({ path: nodes[input]!.path, outputs: ['out'] }));
    const system = fate === 'has no builder' ? 'riscv64-linux' : 'x86_64-linux';
    nodes.push(newNode(named, { path: newPath(`node-${index}`), system, fixedOutput }));
  }
  await database.derivations.save(nodes);
  const graph = new DrvGraph();
  return { plans, nodes, graph, ids: nodes.map((node) => graph.add(node)) };
};

const fakeFor = (
  { plans, nodes }: Case,
  onChange: (running: ReadonlySet<DrvPath>) => void = () => {},
): FakeBuilder => {
  const byPath = new Map(nodes.map((node, index) => [node.path, plans[index]!]));
  return createFakeBuilder({
    behave: (path, attempt) => behaviourOf(byPath.get(path)!, path, attempt),
    onChange,
  });
};

const optionsFor = (made: Case, more: Partial<AloneOptions>): AloneOptions => ({
  graph: made.graph,
  wanted: made.ids.filter((_, index) => made.plans[index]!.wanted),
  builder: fakeFor(made),
  database,
  slots: { build: 2, fixedOutput: 1 },
  limits: { silenceTimeoutMs: 1000, maxDurationMs: 1000, maxLogBytes: 1000 },
  logs: { folder, maxBytes: 10_000 },
  onEvent: () => {},
  signal: new AbortController().signal,
  ...more,
});

/** What must hold of every run, whatever happened in it. */
const checkEnd = async (made: Case, outcomes: ReadonlyMap<DrvPath, BuildOutcome>): Promise<void> => {
  const stored = await database.builds.statesOf(made.nodes.map(({ path }) => path));
  expect(outcomes.size).toBe(stored.size);
  for (const [drv, outcome] of outcomes) {
    const { attempt, state, cause, culprit } = stored.get(drv)!;
    expect({ attempt, state, cause, culprit }).toEqual({
      attempt: outcome.attempt,
      state: outcome.state,
      cause: outcome.cause,
      culprit: outcome.culprit,
    });
    if (outcome.culprit === null) continue;
    const [node, blamed] = [made.graph.find(drv)!, made.graph.find(outcome.culprit)!];
    expect(made.graph.closureOf([node]).includes(blamed)).toBe(true);
    expect(outcomes.get(outcome.culprit)).toMatchObject({ culprit: null, cause: outcome.cause });
    expect(outcomes.get(outcome.culprit)?.state).not.toBe('succeeded');
  }
};

describe('a run of builds', () => {
  it('brings every wanted derivation into the state that the rules give, within its slots, each built once', async () => {
    const slotsArbitrary = fc.record({
      build: fc.integer({ min: 1, max: 4 }),
      fixedOutput: fc.integer({ min: 1, max: 2 }),
    });
    await fc.assert(
      fc.asyncProperty(plansArbitrary, slotsArbitrary, async (plans, slots) => {
        const made = await makeCase(plans);
        const { graph } = made;
        const succeeded = new Set<DrvPath>();
        const builder = fakeFor(made, (running) => {
          const fixed = [...running].filter((drv) => graph.isFixedOutput(graph.find(drv)!)).length;
          expect(fixed).toBeLessThanOrEqual(slots.fixedOutput);
          expect(running.size - fixed).toBeLessThanOrEqual(slots.build);
        });
        const events: BuildEvent[] = [];
        const onEvent = (event: BuildEvent): void => {
          events.push(event);
          if (event.kind === 'build-finished' && event.outcome.state === 'succeeded')
            succeeded.add(event.outcome.drv);
          if (event.kind !== 'build-started') return;
          const inputs = made.nodes.find(({ path }) => path === event.drv)!.inputs.map(({ path }) => path);
          const wanted = inputs.filter(
            (path) => plans[made.nodes.findIndex((node) => node.path === path)]!.wanted,
          );
          expect(wanted.filter((path) => !succeeded.has(path))).toEqual([]);
        };
        const outcomes = await scheduleAlone(optionsFor(made, { builder, slots, onEvent })).finished;
        for (const [index, possible] of expectedStates(plans).entries()) {
          const { path } = made.nodes[index]!;
          const outcome = outcomes.get(path);
          const calls = builder.calls.filter((call) => call === path).length;
          if (possible === null) {
            expect([outcome, calls]).toEqual([undefined, 0]);
            continue;
          }
          // Whatever has no builder is known before anything can fail.
          expect(outcome?.state).toBe(possible[0]);
          const tried = outcome?.logFile !== null;
          expect(calls).toBe(tried ? (attemptsExpected[plans[index]!.fate] ?? 1) : 0);
          expect(outcome?.attempt).toBe(Math.max(1, calls));
        }
        const told = events.flatMap((event) => ('outcome' in event ? [event.outcome.drv] : []));
        expect(told.sort()).toEqual([...outcomes.keys()].sort());
        await checkEnd(made, outcomes);
      }),
      { numRuns: 60 },
    );
  });

  it('settles everything when it is cancelled, whenever that is, and leaves nothing running', async () => {
    await fc.assert(
      fc.asyncProperty(plansArbitrary, fc.nat(40), async (plans, when) => {
        const made = await makeCase(plans);
        const builder = fakeFor(made);
        const abort = new AbortController();
        let seen = 0;
        const onEvent = (): void => {
          if (seen++ === when) abort.abort();
        };
        if (when === 0) abort.abort();
        const run = scheduleAlone(optionsFor(made, { builder, onEvent, signal: abort.signal }));
        const outcomes = await run.finished;
        expect(builder.running.size).toBe(0);
        expect(run.expectedLeft()).toBe(0);
        // Aborted before anything was taken up, there is nothing to settle.
        if (when > 0) expect(outcomes.size).toBe(plans.filter(({ wanted }) => wanted).length);
        for (const { state, cause, lastLines } of outcomes.values()) {
          if (state === 'interrupted') expect(['cancelled', 'timeout']).toContain(cause);
          if (state === 'succeeded') expect(lastLines).toEqual([]);
        }
        await checkEnd(made, outcomes);
      }),
      { numRuns: 40 },
    );
  });
});

const plan = (inputs: number[] = [], more: Partial<Plan> = {}): Plan => {
  return { inputs, fate: 'succeeds', fixedOutput: false, wanted: true, turns: 1, ...more };
};

describe('one run', () => {
  it('starts the longest chain first', async () => {
    const made = await makeCase([plan(), plan(), plan([1]), plan([2])]);
    const builder = fakeFor(made);
    await scheduleAlone(optionsFor(made, { builder, slots: { build: 1, fixedOutput: 1 } })).finished;
    expect(builder.calls.map((drv) => made.graph.nameOf(made.graph.find(drv)!))).toEqual([
      'node-1',
      'node-2',
      // As long as the other.
      'node-0',
      'node-3',
    ]);
  });

  it('goes by durations where they are known, and says how long the rest is expected to take', async () => {
    // Two builds of one second before one of ten, four alone.
    const made = await makeCase([plan(), plan([0]), plan(), plan([]), plan([1]), plan()]);
    const builder = fakeFor(made);
    const seconds = [1, 1, 4, 4, 10, 4];
    const left: number[] = [];
    const run = scheduleAlone(
      optionsFor(made, {
        builder,
        slots: { build: 2, fixedOutput: 1 },
        durationOf: (node) => seconds[made.ids.indexOf(node)] ?? 0,
        onEvent: ({ kind }) => {
          if (kind === 'build-started') left.push(run.expectedLeft());
        },
      }),
    );
    await run.finished;
    expect(builder.calls.map((drv) => made.nodes.findIndex(({ path }) => path === drv))[0]).toBe(0);
    // The chain of twelve; as long as 24 seconds of work in two slots.
    expect(left[0]).toBe(12);
    expect(left.at(-1)).toBeLessThanOrEqual(12);
    expect(left).toEqual(left.toSorted((a, b) => b - a));
    expect(run.expectedLeft()).toBe(0);
  });

  it('says what each derivation waits for', async () => {
    const made = await makeCase([plan([], { turns: 50 }), plan(), plan([0]), plan([2]), plan([3])]);
    const [a, b, c, , e] = made.nodes.map(({ path }) => path);
    const said: (string | null)[] = [];
    const onEvent = (event: BuildEvent): void => {
      if (said.length === 0 && event.kind === 'build-started')
        said.push(...[a!, b!, c!, e!].map((drv) => run.why(drv)));
    };
    const run = scheduleAlone(optionsFor(made, { onEvent, slots: { build: 1, fixedOutput: 1 } }));
    await run.finished;
    expect(said).toEqual([
      'node-0 is being built by fake.',
      'node-1 waits for a free slot (1 for builds).',
      'node-2 waits for node-0, which fake is building.',
      'node-4 waits for node-0, 2 between, which fake is building.',
    ]);
    expect([a!, e!, newPath()].map((drv) => run.why(drv))).toEqual([null, null, null]);
  });

  it('keeps a log of each attempt, and tells its last lines when it failed', async () => {
    const made = await makeCase([plan([], { fate: 'never recovers', turns: 30 })]);
    const outcomes = await scheduleAlone(optionsFor(made, {})).finished;
    const outcome = outcomes.get(made.nodes[0]!.path)!;
    expect(outcome).toMatchObject({ state: 'failed', cause: 'network', attempt: 2, message: 'no' });
    expect(outcome.lastLines).toEqual(Array.from({ length: 20 }, (_, index) => `turn ${index + 10}`));
    const attempts = await database.builds.attemptsOf(outcome.drv);
    expect(attempts.map(({ state, cause }) => [state, cause])).toEqual([
      ['interrupted', 'network'],
      ['failed', 'network'],
    ]);
    expect(attempts.at(-1)?.logFile).toBe(outcome.logFile);
    expect(new Set(attempts.map(({ logFile }) => logFile)).size).toBe(2);
    for (const { logFile } of attempts) {
      expect(await readFile(join(folder, logFile!), 'utf8')).toMatch(/^turn 0\n.*turn 29\n$/s);
    }
  });

  it('blames an input that should have been valid', async () => {
    const made = await makeCase([plan([], { wanted: false }), plan([0]), plan([1])]);
    const [input, middle, top] = made.nodes.map(({ path }) => path);
    const result = {
      kind: 'failed',
      cause: 'builder-exit',
      failedDrv: input!,
      message: 'gone',
      durationMs: 1,
    } as const;
    const builder = createFakeBuilder({ behave: () => ({ result }) });
    const outcomes = await scheduleAlone(optionsFor(made, { builder })).finished;
    const blamed = { state: 'dependency-failed', cause: 'builder-exit', culprit: input };
    expect(outcomes.get(middle!)).toMatchObject({ ...blamed, attempt: 1, durationMs: 1 });
    expect(outcomes.get(top!)).toMatchObject({ ...blamed, logFile: null });
  });

  it('ends its builds and says so when it cannot record, or a listener throws', async () => {
    const made = await makeCase([plan([], { turns: 1000 }), plan()]);
    const builder = fakeFor(made);
    let records = 0;
    const builds: Database['builds'] = {
      ...database.builds,
      recordTransitions: (transitions) =>
        records++ === 2
          ? Promise.reject(new Error('disk full'))
          : database.builds.recordTransitions(transitions),
    };
    const failing = scheduleAlone(optionsFor(made, { builder, database: { builds } }));
    await expect(failing.finished).rejects.toThrow('disk full');
    expect(builder.running.size).toBe(0);
    const again = await makeCase([plan([], { turns: 1000 })]);
    const onEvent = (event: BuildEvent): void => {
      if (event.kind === 'build-started') throw new Error('bad listener');
    };
    await expect(scheduleAlone(optionsFor(again, { onEvent })).finished).rejects.toThrow('bad listener');
  });
});
