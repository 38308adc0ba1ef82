// Contract of the port's merges: one at most is open of a change, each is asked for once and told once.
import type { CommitSha } from '@eka-ci/core/ids';
import { beforeEach, expect, it } from 'vitest';
import type { Database, NewMerge, StoredMerge } from './database.ts';

const headSha = 'a'.repeat(40) as CommitSha;
const otherSha = 'b'.repeat(40) as CommitSha;
const silent = { reaction: null, reply: null } as const;
const rocket = { reaction: 'merged', reply: null } as const;

let given: () => Database;
let repositories = 0;
let repository: string;

const asked = (commentId: number | null, more: Partial<NewMerge> = {}): NewMerge => ({
  repository,
  number: 7,
  headSha,
  baseBranch: 'main',
  method: null,
  byId: 2 ** 52 + 1,
  byLogin: 'ann',
  commentId,
  needsReviews: false,
  askedAtMs: 1000,
  ...more,
});

/** Other tests' left out. */
const unfinished = async (): Promise<StoredMerge[]> =>
  (await given().merges.unfinished()).filter((merge) => merge.repository === repository);

const askingContract = (): void => {
  it('keeps what was asked, once for each comment', async () => {
    const { merges } = given();
    const first = await merges.ask(asked(5, { method: 'rebase', needsReviews: true }));
    expect(first).toEqual({
      ...asked(5, { method: 'rebase', needsReviews: true }),
      id: first.id,
      state: 'pending',
      attempts: 0,
      nextAtMs: 0,
      fault: null,
      telling: null,
      isTold: false,
      updatedAtMs: 1000,
    });
    expect(await merges.ask(asked(5, { headSha: otherSha, askedAtMs: 2000 }))).toEqual(first);
    expect(await merges.findOpen(repository, 7)).toEqual(first);
    expect(await merges.findOpen(repository, 8)).toBeNull();
    expect(await merges.findByComment(repository, 5)).toEqual(first);
    expect(await merges.findByComment(repository, 6)).toBeNull();
    expect(await unfinished()).toEqual([first]);
  });

  it('lets a later one replace what is open, silently, and is not brought back by a repeat', async () => {
    const { merges } = given();
    const first = await merges.ask(asked(5));
    const second = await merges.ask(asked(6, { method: 'squash' }));
    const third = await merges.ask(asked(null));
    const fourth = await merges.ask(asked(null));
    expect(await merges.find(first.id)).toMatchObject({ state: 'replaced', telling: silent, isTold: true });
    expect((await merges.ask(asked(5))).state).toBe('replaced');
    expect(await unfinished()).toEqual([fourth]);
    expect([first.id, second.id, third.id, fourth.id]).toEqual(
      [first.id, second.id, third.id, fourth.id].toSorted((a, b) => a - b),
    );
    expect(await merges.newestOf(repository, 7)).toEqual(fourth);
  });

  it('remembers that the forge was asked for the same head already', async () => {
    const { merges } = given();
    const first = await merges.ask(asked(5));
    await merges.step(first.id, 'merging', 1100);
    expect((await merges.ask(asked(6))).state).toBe('merging');
    expect((await merges.ask(asked(7, { headSha: otherSha }))).state).toBe('pending');
  });
};

const endingContract = (): void => {
  it('ends once, and is told once', async () => {
    const { merges } = given();
    const { id } = await merges.ask(asked(5));
    expect(await merges.step(id, 'merging', 1100)).toBe(true);
    expect(await merges.end(id, { state: 'merged', telling: rocket, atMs: 1200 })).toBe(true);
    expect(await merges.end(id, { state: 'refused', telling: silent, atMs: 1300 })).toBe(false);
    expect(await merges.step(id, 'pending', 1300)).toBe(false);
    expect(await merges.findOpen(repository, 7)).toBeNull();
    expect(await unfinished()).toMatchObject([{ state: 'merged', telling: rocket, isTold: false }]);
    await merges.told(id, 1400);
    await merges.told(id, 1500);
    expect(await unfinished()).toEqual([]);
    expect(await merges.newestOf(repository, 7)).toMatchObject({ isTold: true, updatedAtMs: 1400 });
  });

  it('is finished at once where nothing is to be told', async () => {
    const { merges } = given();
    const { id } = await merges.ask(asked(5));
    await merges.told(id, 1050);
    expect(await unfinished()).toHaveLength(1);
    await merges.end(id, { state: 'closed', telling: silent, atMs: 1100 });
    expect(await unfinished()).toEqual([]);
  });

  it('waits after a fault, and counts those in a row', async () => {
    const { merges } = given();
    const { id } = await merges.ask(asked(5));
    await merges.putOff(id, { fault: 'F: wait', nextAtMs: 5000, atMs: 1100 });
    await merges.putOff(id, { fault: 'F: wait', nextAtMs: 9000, atMs: 5000 });
    expect(await merges.find(id)).toMatchObject({ attempts: 2, fault: 'F: wait', nextAtMs: 9000 });
    await merges.putOff(id, { fault: null, nextAtMs: 9500, atMs: 9000 });
    expect(await merges.find(id)).toMatchObject({ attempts: 2, fault: null, nextAtMs: 9500 });
    await merges.step(id, 'merging', 9550);
    expect(await merges.find(id)).toMatchObject({ state: 'merging', attempts: 2, nextAtMs: 9500 });
    await merges.step(id, 'queued', 9600);
    expect(await merges.find(id)).toMatchObject({ state: 'queued', attempts: 0, fault: null, nextAtMs: 0 });
  });

  it('forgets what is finished and old, and nothing else', async () => {
    const { merges } = given();
    const { id: old } = await merges.ask(asked(5));
    await merges.end(old, { state: 'closed', telling: silent, atMs: 1100 });
    const { id: untold } = await merges.ask(asked(6));
    await merges.end(untold, { state: 'merged', telling: rocket, atMs: 1100 });
    const { id: open } = await merges.ask(asked(7));
    expect(await merges.forget(1101)).toBeGreaterThan(0);
    expect(await merges.find(old)).toBeNull();
    expect(await merges.find(untold)).not.toBeNull();
    expect(await merges.find(open)).not.toBeNull();
    await merges.told(untold, 1200);
  });
};

const reviewContract = (): void => {
  const said = (reviewId: number, reviewerId = 3) => ({
    ...{ repository, number: 7, reviewerId, reviewerLogin: 'bob', reviewId, atMs: reviewId },
    reviewedSha: headSha,
  });
  it('keeps the last word of each reviewer on each change', async () => {
    const { reviews } = given();
    await reviews.save({ ...said(1), verdict: 'approved' });
    await reviews.save({ ...said(2, 4), verdict: 'approved', reviewedSha: null });
    await reviews.save({ ...said(2 ** 52 + 1), verdict: 'changes-requested' });
    expect(await reviews.of(repository, 7)).toEqual([
      { ...said(2 ** 52 + 1), verdict: 'changes-requested' },
      { ...said(2, 4), verdict: 'approved', reviewedSha: null },
    ]);
    await reviews.dismiss(said(2 ** 52 + 1));
    expect(await reviews.of(repository, 7)).toMatchObject([{ reviewerId: 4 }]);
    expect(await reviews.of(repository, 8)).toEqual([]);
  });

  it('takes what comes late, or twice, for what it was', async () => {
    const { reviews } = given();
    await reviews.save({ ...said(5), verdict: 'changes-requested' });
    await reviews.save({ ...said(4), verdict: 'approved' });
    expect(await reviews.of(repository, 7)).toMatchObject([{ verdict: 'changes-requested' }]);
    await reviews.dismiss(said(4));
    expect(await reviews.of(repository, 7)).toMatchObject([{ verdict: 'changes-requested' }]);
    await reviews.dismiss(said(6));
    await reviews.save({ ...said(6), verdict: 'approved' });
    await reviews.save({ ...said(5), verdict: 'approved' });
    await reviews.dismiss(said(6));
    expect(await reviews.of(repository, 7)).toEqual([]);
    await reviews.save({ ...said(7), verdict: 'approved' });
    await reviews.save({ ...said(7), verdict: 'approved', atMs: 9000 });
    expect(await reviews.of(repository, 7)).toEqual([{ ...said(7), verdict: 'approved' }]);
  });
};

export const mergeContract = (open: () => Database): void => {
  beforeEach(() => {
    given = open;
    repository = `github.com/owner/merges-${++repositories}`;
  });
  askingContract();
  endingContract();
  reviewContract();
};
