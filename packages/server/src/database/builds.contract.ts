// Contract of the port's builds.
import type { BuildCause, BuildState } from '@eka-ci/core/build-state';
import type { DrvPath } from '@eka-ci/core/ids';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { BuildTransition, Database, RecordedTransition } from './database.ts';
import { newNode, newPath, step } from './testing/samples.ts';

const states = ['queued', 'buildable', 'building', 'succeeded', 'failed', 'interrupted'] as const;

const randomSteps = fc.array(
  fc.array(
    fc.record({
      drv: fc.nat({ max: 2 }),
      to: fc.constantFrom(...states),
      attempt: fc.integer({ min: 1, max: 3 }),
      cause: fc.constantFrom<BuildCause | null>(null, 'network', 'scheduler-death', 'built'),
      culprit: fc.option(fc.nat({ max: 2 })),
      message: fc.option(fc.string({ maxLength: 5 }).filter((text) => !text.includes('\0'))),
      logFile: fc.option(fc.constant('log')),
      atMs: fc.nat(),
      stale: fc.nat({ max: 9 }).map((roll) => roll === 0),
    }),
    { maxLength: 5 },
  ),
  { maxLength: 6 },
);

/** Turns random wishes into a batch; the model's states are those it would leave, or null where it must be refused. */
const planBatch = (
  wishes: typeof randomSteps extends fc.Arbitrary<(infer Batch)[]> ? Batch : never,
  drvs: readonly DrvPath[],
  current: ReadonlyMap<DrvPath, BuildState>,
) => {
  const after = new Map(current);
  let refused = false;
  const batch = wishes.map(({ drv, stale, culprit, ...wish }) => {
    const path = drvs[drv] ?? newPath();
    const from = stale ? 'dependency-failed' : (after.get(path) ?? null);
    refused ||= stale;
    after.set(path, wish.to);
    return { ...wish, drv: path, from, culprit: culprit === null ? null : (drvs[culprit] ?? null) };
  });
  return { batch, after: refused ? null : after };
};

export const buildContract = (given: () => Database): void => {
  it('agrees with a model on any history', async () => {
    await fc.assert(
      fc.asyncProperty(randomSteps, async (batches) => {
        const { builds, derivations } = given();
        const nodes = [newNode(), newNode(), newNode()];
        const drvs = nodes.map((node) => node.path);
        await derivations.save(nodes);
        const recorded: RecordedTransition[] = [];
        let current: ReadonlyMap<DrvPath, BuildState> = new Map();
        let sequence = 0;
        for (const wishes of batches) {
          const { batch, after } = planBatch(wishes, drvs, current);
          if (after === null) {
            await expect(builds.recordTransitions(batch)).rejects.toMatchObject({
              code: 'BUILD_STATE_STALE',
            });
            continue;
          }
          for (const event of await builds.recordTransitions(batch)) {
            expect(event.sequence).toBeGreaterThan(sequence);
            sequence = event.sequence;
            recorded.push(event);
          }
          current = after;
        }
        const stored = await builds.statesOf(drvs);
        expect(new Map([...stored].map(([path, build]) => [path, build.state]))).toEqual(current);
        for (const drv of drvs) {
          const history = recorded.filter((event) => event.drv === drv);
          expect(await builds.historyOf(drv)).toEqual(history);
          const last = history.at(-1);
          if (last !== undefined) {
            const { attempt, cause, culprit, message } = last;
            expect(stored.get(drv)).toMatchObject({
              attempt,
              cause,
              culprit,
              message,
              sequence: last.sequence,
            });
            expect((await builds.attemptsOf(drv)).at(-1)).toMatchObject({ attempt, cause, state: last.to });
          }
        }
        const before = recorded.length === 0 ? Number.MAX_SAFE_INTEGER : sequence - recorded.length;
        expect(await builds.eventsSince(before, 1000)).toEqual(recorded);
      }),
      { numRuns: 40 },
    );
  });

  it('tells attempts apart: when each began and ended, how, and where its log is', async () => {
    const { builds, derivations } = given();
    const node = newNode();
    await derivations.save([node]);
    const at = (atMs: number, more: Partial<BuildTransition> = {}) => ({ atMs, ...more });
    const lost = { cause: 'lost-builder', message: 'it went away' } as const;
    await builds.recordTransitions([
      step(node.path, null, 'queued', at(1)),
      step(node.path, 'queued', 'buildable', at(2)),
      step(node.path, 'buildable', 'building', at(3, { logFile: 'one.log' })),
      step(node.path, 'building', 'failed', at(4, lost)),
      step(node.path, 'failed', 'queued', at(5, { attempt: 2 })),
      step(node.path, 'queued', 'building', at(6, { attempt: 2, logFile: 'two.log' })),
    ]);
    const nothing = { cause: null, culprit: null, message: null, finishedAtMs: null };
    const second = { ...nothing, attempt: 2, state: 'building', startedAtMs: 6, logFile: 'two.log' };
    expect(await builds.attemptsOf(node.path)).toEqual([
      {
        ...lost,
        attempt: 1,
        state: 'failed',
        culprit: null,
        startedAtMs: 3,
        finishedAtMs: 4,
        logFile: 'one.log',
      },
      second,
    ]);
    expect((await builds.statesOf([node.path])).get(node.path)).toMatchObject(second);
    expect(await builds.attemptsOf(newPath())).toEqual([]);
  });

  it('rejects a whole batch for one stale or unknown derivation', async () => {
    const { builds, derivations } = given();
    const [one, two] = [newNode(), newNode()];
    await derivations.save([one, two]);
    await builds.recordTransitions([step(two.path, null, 'queued')]);
    const good = step(one.path, null, 'queued');
    const stale = builds.recordTransitions([good, step(two.path, 'building', 'failed')]);
    await expect(stale).rejects.toMatchObject({
      name: 'StaleTransitionError',
      drv: two.path,
      expected: 'building',
      actual: 'queued',
    });
    for (const bad of [
      step(newPath(), null, 'queued'),
      { ...step(two.path, 'queued', 'failed'), culprit: newPath() },
    ]) {
      await expect(builds.recordTransitions([good, bad])).rejects.toMatchObject({
        code: 'DATABASE_UNKNOWN_DERIVATION',
      });
    }
    expect((await builds.statesOf([one.path])).size).toBe(0);
    expect((await builds.historyOf(two.path)).length).toBe(1);
    expect(await builds.recordTransitions([])).toEqual([]);
  });

  it('lets one of two recorders win', async () => {
    const { builds, derivations } = given();
    const node = newNode();
    await derivations.save([node]);
    const both = await Promise.allSettled(
      (['queued', 'succeeded'] as const).map((to) => builds.recordTransitions([step(node.path, null, to)])),
    );
    expect(both.map((outcome) => outcome.status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('finds what a restarted server takes up again', async () => {
    const { builds, derivations } = given();
    const ends: [BuildState, BuildCause | null][] = [
      ['queued', null],
      ['buildable', null],
      ['building', null],
      ['unsatisfiable', null],
      ['interrupted', 'scheduler-death'],
      ['interrupted', 'timeout'],
      ['failed', 'builder-exit'],
      ['dependency-failed', 'builder-exit'],
      ['succeeded', 'built'],
    ];
    const nodes = ends.map(() => newNode());
    await derivations.save(nodes);
    await builds.recordTransitions(
      ends.map(([to, cause], index) => step(nodes[index]?.path ?? newPath(), null, to, { cause })),
    );
    const own = new Set(nodes.map((node) => node.path));
    const found = (await builds.unfinished()).filter((build) => own.has(build.drv));
    expect(found.map((build) => build.drv)).toEqual(nodes.slice(0, 5).map((node) => node.path));
    const started = (await builds.startedUnfinished()).filter((build) => own.has(build.drv));
    expect(started.map((build) => build.drv)).toEqual([nodes[2]?.path]);
  });

  it('interrupts all that waits with the very step that each would have taken alone', async () => {
    const { builds, derivations } = given();
    const nodes = Array.from({ length: 5 }, () => newNode());
    await derivations.save(nodes);
    const drvs = nodes.map((node) => node.path);
    const [alone, queued, buildable, building, done] = drvs as [DrvPath, DrvPath, DrvPath, DrvPath, DrvPath];
    const second = { attempt: 2, atMs: 3 } as const;
    await builds.recordTransitions([
      ...[alone, queued].flatMap((drv) => [
        step(drv, null, 'failed', { cause: 'network', culprit: done, message: 'gone', logFile: 'one.log' }),
        step(drv, 'failed', 'queued', second),
      ]),
      step(buildable, null, 'buildable'),
      step(building, null, 'building'),
      step(done, null, 'succeeded'),
    ]);
    const how = { cause: 'scheduler-death', message: null, atMs: 7 } as const;
    await builds.recordTransitions([step(alone, 'queued', 'interrupted', { ...how, attempt: 2 })]);
    const others = await builds.unfinished();
    const expected = others.filter(({ state }) => state === 'queued' || state === 'buildable').length;
    expect(await builds.interruptWaiting(7)).toBe(expected);
    expect(await builds.interruptWaiting(8)).toBe(0);

    const histories = await Promise.all(drvs.map((drv) => builds.historyOf(drv)));
    const [aloneHistory, queuedHistory, buildableHistory] = histories.map((history) =>
      history.map((event) => ({ ...event, sequence: 0, drv: alone })),
    );
    expect(queuedHistory).toEqual(aloneHistory);
    expect(buildableHistory?.at(-1)).toMatchObject({
      ...how,
      from: 'buildable',
      to: 'interrupted',
      attempt: 1,
    });
    const stored = await builds.statesOf(drvs);
    const now = stored.get(queued);
    expect({ ...stored.get(alone), sequence: now?.sequence, drv: queued }).toEqual(now);
    for (const [at, drv] of drvs.entries()) {
      expect(stored.get(drv)?.sequence).toBe(histories[at]?.at(-1)?.sequence);
    }
    expect([building, done].map((drv) => stored.get(drv)?.state)).toEqual(['building', 'succeeded']);
    const last = await builds.eventsSince((stored.get(queued)?.sequence ?? 0) - 1, 1000);
    expect(last.map(({ sequence }) => sequence)).toEqual(
      last.map((_event, at) => (last[0]?.sequence ?? 0) + at),
    );
  });

  it('pages events', async () => {
    const { builds, derivations } = given();
    const nodes = Array.from({ length: 7 }, () => newNode());
    await derivations.save(nodes);
    const events = await builds.recordTransitions(nodes.map((node) => step(node.path, null, 'queued')));
    const start = (events[0]?.sequence ?? 0) - 1;
    const page = await builds.eventsSince(start, 3);
    expect(page).toEqual(events.slice(0, 3));
    expect(await builds.eventsSince(page.at(-1)?.sequence ?? 0, 100)).toEqual(events.slice(3));
  });
};
