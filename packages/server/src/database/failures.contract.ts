// Contract of the port's failures: what is tried again, which changes are judged again for it, and what no builder had.
import type { BuildState } from '@eka-ci/core/build-state';
import { type Hindrances, noHindrances } from '@eka-ci/core/hindrances';
import type { CommitSha, DrvPath, TreeSha } from '@eka-ci/core/ids';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { BuildTransition, ChangeResult, Database } from './database.ts';
import { newNode, step } from './testing/samples.ts';

const repository = 'owner/set';
const owner = 'a';
const shaOf = (digit: string): CommitSha => digit.repeat(40) as CommitSha;
const needs = { system: 'riscv64-linux', requiredFeatures: ['kvm'], fixedOutput: false };

const judged = (hindrances: Partial<Hindrances>): ChangeResult => ({
  state: 'judged',
  base: null,
  judgedTree: 'd'.repeat(40) as TreeSha,
  title: 'all of it',
  conclusion: 'failure',
  summaryJson: '{}',
  markdown: '# bad',
  hindrances: { ...noHindrances, ...hindrances },
});

/** @param open makes an empty database that nobody else uses */
export const failureContract = (open: () => Promise<Database>): void => {
  let database: Database;
  let told: number;
  beforeEach(async () => {
    database = await open();
    told = 0;
  });
  afterEach(() => database.close());

  /** A queued change; the kind is that of its branch. @returns its id */
  const moved = async (branch: string, kind: 'head-moved' | 'base-moved' = 'head-moved'): Promise<string> => {
    const key = `failure ${told++}`;
    await database.deliveries.receive([{ key, payload: '{}', receivedAtMs: told }]);
    const head = shaOf(String(told % 10));
    const update = { kind, repository, branch, base: shaOf('b'), head, title: branch, newId: key } as const;
    const [applied] = await database.changes.apply([{ deliveryKey: key, update }], 1000 + told);
    return applied?.queued?.id ?? 'none';
  };
  const claim = () => database.changes.claimNext({ owner, nowMs: 0, untilMs: 100 });
  const finish = (id: string, hindrances: Partial<Hindrances>) =>
    database.changes.finish({ id, owner }, judged(hindrances), 2000);
  /** Claims what comes next, which must be that one, and ends it. */
  const judge = async (id: string, hindrances: Partial<Hindrances> = {}): Promise<void> => {
    expect(await claim()).toMatchObject({ id });
    expect(await finish(id, hindrances)).toBe(true);
  };
  const stateOf = async (id: string) => (await database.changes.find(id))?.state;
  const clear = (drvs: 'all' | readonly DrvPath[], more: { failuresOf?: string; askedOf?: string } = {}) =>
    database.changes.clearFailures({ drvs, atMs: 3000, ...more });

  const record = (...steps: readonly BuildTransition[]) => database.builds.recordTransitions(steps);
  const fail = (drv: DrvPath, attempt = 1, from: BuildState | null = null) =>
    record(
      step(drv, from, 'building', { attempt }),
      step(drv, 'building', 'failed', { attempt, cause: 'builder-exit' }),
    );
  const failBy = (drv: DrvPath, culprit: DrvPath) =>
    record(step(drv, null, 'dependency-failed', { cause: 'builder-exit', culprit }));
  /** Stored derivations, each without inputs: what failed by what is said by culprits alone. */
  const stored = async (count: number): Promise<DrvPath[]> => {
    const nodes = Array.from({ length: count }, () => newNode());
    await database.derivations.save(nodes);
    return nodes.map(({ path }) => path);
  };
  const isCleared = async (drv: DrvPath) => (await database.builds.statesOf([drv])).get(drv)?.cleared;

  it('clears a failure with all that failed by it, once, and forgets what was answered before', async () => {
    const [own, above, higher, other] = (await stored(4)) as [DrvPath, DrvPath, DrvPath, DrvPath];
    await fail(own);
    await fail(other);
    await failBy(above, own);
    await failBy(higher, own);
    expect(await isCleared(own)).toBe(false);
    expect(await clear([own])).toEqual({ cleared: 3, changes: [] });
    expect(await clear([own])).toEqual({ cleared: 0, changes: [] });
    expect(await Promise.all([own, above, higher, other].map(isCleared))).toEqual([true, true, true, false]);
    expect((await database.builds.statesOf([own])).get(own)).toMatchObject({
      state: 'failed',
      cause: 'builder-exit',
    });
    expect([...(await database.builds.answersOf([own, other])).keys()]).toEqual([other]);
    await fail(own, 2, 'failed');
    expect(await isCleared(own)).toBe(false);
    expect((await database.builds.answersOf([own])).get(own)).toMatchObject([{ attempt: 2 }]);
    expect(await database.builds.attemptsOf(own)).toHaveLength(2);
    expect(await clear([own])).toMatchObject({ cleared: 1 });
  });

  it('clears what something failed by, where that is named', async () => {
    const [own, above, sibling] = (await stored(3)) as [DrvPath, DrvPath, DrvPath];
    await fail(own);
    await failBy(above, own);
    await failBy(sibling, own);
    expect(await clear([above, newNode().path])).toMatchObject({ cleared: 3 });
    expect(await isCleared(own)).toBe(true);
  });

  it('leaves alone what succeeded, what is under way, and what a dead server left', async () => {
    const [built, running, left, slow] = (await stored(4)) as [DrvPath, DrvPath, DrvPath, DrvPath];
    await record(
      step(built, null, 'failed', { cause: 'builder-exit' }),
      step(built, 'failed', 'succeeded', { cause: 'built', attempt: 2 }),
      step(running, null, 'failed', { cause: 'builder-exit' }),
      step(running, 'failed', 'building', { attempt: 2 }),
      step(left, null, 'interrupted', { cause: 'scheduler-death' }),
      step(slow, null, 'interrupted', { cause: 'timeout' }),
    );
    expect(await clear([built, running, left])).toMatchObject({ cleared: 0 });
    expect(await clear('all')).toMatchObject({ cleared: 1 });
    expect(await isCleared(slow)).toBe(true);
    expect((await database.builds.answersOf([built])).get(built)).toHaveLength(2);
  });

  it('queues the open changes that showed it, and no others, once', async () => {
    const [own, other] = (await stored(2)) as [DrvPath, DrvPath];
    await fail(own);
    await fail(other);
    const [shows, unconcerned, replaced, fine] = [
      await moved('shows'),
      await moved('unconcerned'),
      await moved('replaced'),
      await moved('fine'),
    ];
    const baseline = await moved('main', 'base-moved');
    await judge(shows, { failures: [own] });
    await judge(unconcerned, { failures: [other] });
    await judge(replaced, { failures: [own] });
    await judge(fine);
    await judge(baseline, { failures: [own, own] });
    await moved('replaced');
    const cleared = await clear([own]);
    expect(cleared).toMatchObject({ cleared: 1, changes: [{ id: shows }, { id: baseline }] });
    expect(cleared.changes.map(({ state, updatedAtMs }) => [state, updatedAtMs])).toEqual([
      ['queued', 3000],
      ['queued', 3000],
    ]);
    expect(await clear([own])).toEqual({ cleared: 0, changes: [] });
    expect(await stateOf(unconcerned)).toBe('judged');
    expect(await stateOf(replaced)).toBe('superseded');
    expect(await database.changes.find(shows)).toMatchObject({ conclusion: 'failure', summaryJson: '{}' });
    // With those that are queued already.
    expect(await clear('all')).toMatchObject({
      cleared: 1,
      changes: [{ id: unconcerned }, { id: shows }, { id: baseline }],
    });
  });

  it('judges again by its end what shows a failure that was cleared meanwhile, and once only', async () => {
    const [own] = (await stored(1)) as [DrvPath];
    await fail(own);
    const id = await moved('topic');
    await claim();
    expect(await clear([own])).toEqual({ cleared: 1, changes: [] });
    expect(await finish(id, { failures: [own] })).toBe(true);
    expect(await database.changes.find(id)).toMatchObject({ state: 'queued', conclusion: 'failure' });
    await claim();
    await fail(own, 2, 'failed');
    expect(await finish(id, { failures: [own] })).toBe(true);
    expect(await stateOf(id)).toBe('judged');
    expect(await claim()).toBeNull();
  });

  it('has one change judged again for what it showed, and one that is asked for', async () => {
    const [own, elsewhere] = (await stored(2)) as [DrvPath, DrvPath];
    await fail(own);
    await fail(elsewhere);
    const [id, fine] = [await moved('topic'), await moved('fine')];
    await judge(id, { failures: [own] });
    await judge(fine);
    expect(await clear([], { failuresOf: fine })).toEqual({ cleared: 0, changes: [] });
    expect(await clear([own])).toMatchObject({ changes: [{ id }] });
    await judge(id, { failures: [own] });
    // Nobody tried it, though it was cleared before: that alone does not have it judged for ever.
    expect(await stateOf(id)).toBe('judged');
    expect(await clear([], { failuresOf: id, askedOf: id })).toMatchObject({ cleared: 0, changes: [{ id }] });
    expect(await isCleared(elsewhere)).toBe(false);
    expect(await database.changes.find(fine)).toMatchObject({ state: 'judged' });
    expect(await clear([], { askedOf: fine })).toMatchObject({ cleared: 0, changes: [{ id: fine }] });
    expect(await clear([], { askedOf: 'nobody' })).toEqual({ cleared: 0, changes: [] });
  });

  it('shows what was judged last, and nothing of what is gone', async () => {
    const [own] = (await stored(1)) as [DrvPath];
    await fail(own);
    const id = await moved('topic');
    await judge(id, { failures: [own, newNode().path] });
    await database.changes.requeue(id, { atMs: 1 });
    await judge(id);
    expect(await clear([own])).toEqual({ cleared: 1, changes: [] });
    expect(await database.changes.finish({ id, owner: 'nobody' }, judged({ failures: [own] }), 1)).toBe(
      false,
    );
  });

  it('remembers an approval that comes while it is judged, and judges again what waited for it', async () => {
    const [held, plain] = [await moved('held'), await moved('plain')];
    expect(await database.changes.requeue(held, { atMs: 1, approved: true })).toMatchObject({
      state: 'queued',
      approved: true,
    });
    await judge(held, { awaitsApproval: true });
    expect(await stateOf(held)).toBe('queued');
    await judge(plain, { awaitsApproval: true });
    expect(await stateOf(plain)).toBe('judged');
    expect(await claim()).toMatchObject({ id: held, approved: true });
    expect(await database.changes.requeue(held, { atMs: 1, approved: true })).toMatchObject({
      state: 'judging',
    });
    await finish(held, {});
    expect(await stateOf(held)).toBe('judged');
  });

  it('knows which changes something was missing for, and has a running one look again', async () => {
    const { changes } = database;
    const [lacks, fine] = [await moved('lacks'), await moved('fine')];
    await judge(lacks, { unsatisfiable: [needs] });
    await judge(fine);
    expect(await changes.offerChanged()).toEqual([{ id: lacks, asked: [needs] }]);
    const running = await moved('running');
    await claim();
    expect(await changes.offerChanged()).toMatchObject([{ id: lacks }]);
    await finish(running, { unsatisfiable: [needs] });
    expect(await stateOf(running)).toBe('queued');
    await judge(running, { unsatisfiable: [needs] });
    expect(await stateOf(running)).toBe('judged');
    await changes.requeue(lacks, { atMs: 1 });
    expect(await changes.offerChanged()).toMatchObject([{ id: running }]);
    await judge(lacks);
    expect(await changes.offerChanged()).toMatchObject([{ id: running }]);
    await moved('running');
    expect(await changes.offerChanged()).toEqual([]);
  });
};
