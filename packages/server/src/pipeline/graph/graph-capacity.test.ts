import type { AttrOutcome } from '@eka-ci/core/attr-outcome';
import type { DrvPath } from '@eka-ci/core/ids';
import type { EvaluatedSets } from '@eka-ci/core/testing/package-set';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { StoredBuild } from '../../database/database.ts';
import { createRecorder, type StepToRecord } from '../builds/record.ts';
import type { GraphLease } from './shared-graph.ts';
import { changeArbitrary, judgeIn, nodesOf, rootsOf, storeDir, writeFiles } from './testing/graph-changes.ts';
import { createWorlds, hourMs, leaseOf } from './testing/world.ts';

const worlds = createWorlds();
afterAll(() => worlds.close());
const openWorld = worlds.open;

const quick: AttrOutcome = { state: 'succeeded' };

/** Some fail, by their names. */
const outcomeByName = (drv: DrvPath): AttrOutcome =>
  drv.charCodeAt(storeDir.length + 5) % 5 === 0 ? { state: 'failed', cause: 'builder-exit' } : quick;

describe('a change on a shared graph', () => {
  it('is judged as on a graph of its own', async () => {
    const { database } = await openWorld(1);
    await fc.assert(
      fc.asyncProperty(fc.array(changeArbitrary(24), { minLength: 3, maxLength: 4 }), async (changes) => {
        const world = await openWorld(60, { database });
        writeFiles(world.place, changes.flatMap(nodesOf));
        const leases = await Promise.all(changes.map((change) => leaseOf(world, rootsOf(change))));
        for (const [index, change] of changes.entries()) {
          const { graph } = leases[index] ?? world.shared.lease();
          // What its roots need, and nothing of those around.
          const own = await leaseOf(await openWorld(1e6, { place: world.place, database }), rootsOf(change));
          expect(judgeIn(graph, change, outcomeByName)).toEqual(judgeIn(own.graph, change, outcomeByName));
          expect(judgeIn(graph, change, outcomeByName)).toEqual(judgeIn(change.graph, change, outcomeByName));
          if (index === 1) leases[0]?.release();
        }
      }),
      { numRuns: 15 },
    );
  });
});

type Step =
  | { readonly kind: 'judge'; readonly change: number; readonly stop: boolean }
  | {
      readonly kind: 'record';
      readonly change: number;
      readonly at: number;
      readonly to: 'succeed' | 'fail' | 'fail-dependency';
    }
  | { readonly kind: 'release'; readonly lease: number }
  | { readonly kind: 'pass'; readonly hours: number };

const change = fc.nat(5);
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('judge' as const),
      change,
      stop: fc.nat(5).map((n) => n === 0),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('record' as const),
      change,
      at: fc.nat(),
      to: fc.constantFrom('succeed' as const, 'fail' as const, 'fail-dependency' as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('release' as const), lease: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('pass' as const), hours: fc.constantFrom(2, 7, 30) }),
  },
);

/** After whatever was before: one change after the other, and the first once more, which has gone by then. */
const inTurn: readonly Step[] = [0, 1, 2, 3, 0].flatMap((change): Step[] => [
  ...Array.from({ length: 40 }, (): Step => ({ kind: 'release', lease: 0 })),
  { kind: 'judge', change, stop: false },
]);

const toOutcome = (build: StoredBuild | undefined): AttrOutcome =>
  build === undefined || build.state === 'queued' || build.state === 'buildable' || build.state === 'building'
    ? { state: 'unknown' }
    : { state: build.state, ...(build.state === 'failed' && { cause: 'builder-exit' as const }) };

/** What each judgement of a history came to, and what is left when all leases are released. */
const play = async (changes: readonly EvaluatedSets[], steps: readonly Step[], capacity: number) => {
  const world = await openWorld(capacity);
  writeFiles(world.place, changes.flatMap(nodesOf));
  const recorder = createRecorder({
    database: world.database,
    clock: () => world.now,
    onRecorded: world.shared.recorded.bind(world.shared),
  });
  const answers: unknown[] = [];
  const leases: GraphLease[] = [];
  const stored = new Set<DrvPath>();
  for (const step of steps) {
    const asked = 'change' in step ? changes[step.change % changes.length] : undefined;
    if (step.kind === 'pass') world.now += step.hours * hourMs;
    else if (step.kind === 'release') leases.splice(step.lease % (leases.length + 1), 1)[0]?.release();
    else if (asked === undefined) continue;
    else if (step.kind === 'judge') {
      const stop = new AbortController();
      const lease = world.shared.lease();
      const ingested = lease.ingest(rootsOf(asked), stop.signal);
      if (step.stop) setImmediate(() => stop.abort());
      leases.push(lease);
      if (step.stop) {
        // How far it comes is not told: what others are answered must not depend on it.
        await ingested.catch(() => {});
        continue;
      }
      await ingested;
      // Whoever goes on from here may record what becomes of any of them.
      expect(await world.database.derivations.known(rootsOf(asked))).toEqual(new Set(rootsOf(asked)));
      // What no root needs was never met.
      for (const id of lease.graph.ids()) stored.add(lease.graph.pathOf(id));
      const builds = await world.database.builds.statesOf(nodesOf(asked).map(({ path }) => path));
      const answer = judgeIn(lease.graph, asked, (drv) => toOutcome(builds.get(drv)));
      answers.push(answer);
    } else {
      const nodes = nodesOf(asked);
      const drv = nodes[step.at % nodes.length]?.path;
      if (drv === undefined || !stored.has(drv)) continue;
      const more = { drv, cause: null, culprit: null, message: null, logFile: null };
      const before: StepToRecord['step'][] = step.to === 'fail' ? ['inputs-ready', 'start'] : [];
      await recorder.enqueue([drv]);
      await recorder.record([...before, step.to].map((name) => ({ ...more, step: name })));
    }
  }
  const held = new Set(leases.flatMap(({ graph }) => [...graph.ids()]));
  expect(world.shared.counts().pinned).toBe(held.size);
  for (const lease of leases) lease.release();
  const counts = world.shared.counts();
  expect(counts).toMatchObject({ pinned: 0, leases: 0 });
  expect(counts.nodes).toBeLessThanOrEqual(capacity);
  return { answers, counts, reloads: world.events.filter(({ kind }) => kind === 'reloaded').length };
};

describe('the capacity of a shared graph', () => {
  it('changes no answer', async () => {
    let reloads = 0;
    let evicted = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(changeArbitrary(60), { minLength: 4, maxLength: 6 }),
        fc.array(stepArbitrary, { maxLength: 30 }),
        async (changes, steps) => {
          const history = [...steps, ...inTurn];
          const tight = await play(changes, history, 100);
          const wide = await play(changes, history, 1_000_000);
          expect(tight.answers).toEqual(wide.answers);
          expect(Object.values(wide.counts.evicted)).toEqual([0, 0, 0, 0]);
          reloads += tight.reloads;
          evicted += Object.values(tight.counts.evicted).reduce((sum, count) => sum + count, 0);
        },
      ),
      { numRuns: 8, endOnFailure: true },
    );
    // Or it would have proven nothing.
    expect(reloads).toBeGreaterThan(0);
    expect(evicted).toBeGreaterThan(100);
  });
});
