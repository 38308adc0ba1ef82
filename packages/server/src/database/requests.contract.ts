// Contract of the port's changes beside those of branches: baselines, what is asked for by hand, second tries, and the
// end of what nobody needs.
import type { CommitSha } from '@eka-ci/core/ids';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { BranchUpdate, Database, NewSubmission } from './database.ts';
import { judgedResult } from './testing/samples.ts';

const repository = 'owner/set';
const shaOf = (digit: string): CommitSha => digit.repeat(40) as CommitSha;
const judged = judgedResult();
const submission: NewSubmission = {
  id: '6b1f3b9e-6f4e-4b1c-9d0b-0d7f6f0a1c11',
  repository: '/srv/set',
  branch: 'HEAD~1',
  base: null,
  head: shaOf('4'),
  title: 'HEAD~1',
  requestJson: '{"jobs":[]}',
  atMs: 10,
};

/** @param open makes an empty database that nobody else uses */
export const requestContract = (open: () => Promise<Database>): void => {
  let database: Database;
  let told: number;
  beforeEach(async () => {
    database = await open();
    told = 0;
  });
  afterEach(() => database.close());
  const given = (): Database => database;
  const tell = async (update: BranchUpdate) => {
    const key = `request ${told++}`;
    await given().deliveries.receive([{ key, payload: '{}', receivedAtMs: told }]);
    const [applied] = await given().changes.apply([{ deliveryKey: key, update }], 1000 + told);
    if (applied === undefined) throw new Error('nothing was applied');
    return applied;
  };
  const moved = (kind: 'head-moved' | 'base-moved', branch: string, digit: string) =>
    tell({
      kind,
      repository,
      branch,
      base: shaOf('b'),
      head: shaOf(digit),
      title: branch,
      newId: `${kind} ${branch} ${digit} ${told}`,
    });
  const claim = (nowMs = 0) => given().changes.claimNext({ owner: 'a', nowMs, untilMs: nowMs + 100 });
  const finish = async () => {
    const claimed = await claim();
    const lease = { id: claimed?.id ?? '', owner: 'a' };
    expect(await given().changes.finish(lease, judged, 2000)).toBe(true);
    return lease.id;
  };

  it('judges baselines last, and keeps them apart from changes', async () => {
    const { changes } = given();
    const first = await moved('base-moved', 'main', '1');
    expect(first.queued).toMatchObject({ kind: 'baseline', number: 0, base: shaOf('b') });
    await moved('head-moved', 'main', '1');
    await moved('head-moved', 'topic', '2');
    expect((await moved('base-moved', 'main', '3')).ended).toEqual([first.queued?.id]);
    expect((await moved('base-moved', 'main', '3')).queued).toBeNull();
    const branches = [await claim(), await claim(), await claim()].map(
      (one) => `${one?.kind} ${one?.branch}`,
    );
    expect(branches).toEqual(['branch main', 'branch topic', 'baseline main']);
    expect((await changes.list({ limit: 10, repository })).changes).toHaveLength(2);
    const baselines = await changes.list({ limit: 10, repository, kinds: ['baseline'] });
    expect(baselines.changes.map(({ state }) => state)).toEqual(['judging', 'superseded']);
  });

  it('takes a submission once, and numbers it in its repository', async () => {
    const { changes } = given();
    const taken = await changes.submit(submission);
    expect(taken).toMatchObject({
      isNew: true,
      change: { kind: 'submitted', number: 1, base: null, state: 'queued', createdAtMs: 10 },
    });
    expect(await changes.submit({ ...submission, title: 'forged', atMs: 20 })).toEqual({
      ...taken,
      isNew: false,
    });
    expect(await changes.find(submission.id)).toMatchObject({ requestJson: '{"jobs":[]}' });
    const other = await changes.submit({ ...submission, id: 'another' });
    expect(other.change.number).toBe(2);
    expect(await claim()).toMatchObject({ id: submission.id });
    const lease = { id: submission.id, owner: 'a' };
    expect(await changes.finish(lease, judged, 30)).toBe(true);
    expect(await changes.find(submission.id)).toMatchObject({ base: null, conclusion: 'success' });
  });

  it('ends a change that is cancelled, once, and takes nothing more from its judge', async () => {
    const { changes } = given();
    const { queued } = await moved('head-moved', 'topic', '1');
    const id = queued?.id ?? '';
    await claim();
    const cancelled = { state: 'failed', conclusion: 'cancelled' };
    expect(await changes.cancel(id, 50)).toMatchObject({ ended: true, change: cancelled });
    expect(await changes.cancel(id, 60)).toMatchObject({ ended: false, change: { updatedAtMs: 50 } });
    expect(await changes.finish({ id, owner: 'a' }, judged, 70)).toBe(false);
    expect(await changes.retryLater({ id, owner: 'a' }, { fault: 'F', retryAtMs: 1, atMs: 70 })).toBe(false);
    expect(await changes.cancel('nobody', 50)).toBeNull();
    expect(await claim(500)).toBeNull();
  });

  it('queues again what has ended, and keeps what it came to until it ends anew', async () => {
    const { changes } = given();
    const { queued } = await moved('head-moved', 'topic', '1');
    const id = queued?.id ?? '';
    expect(await changes.requeue(id, { atMs: 1 })).toBeNull();
    await finish();
    const again = await changes.requeue(id, { atMs: 3000, base: shaOf('7'), approved: true });
    expect(again).toMatchObject({ state: 'queued', base: shaOf('7'), approved: true, conclusion: 'success' });
    await moved('head-moved', 'other', '2');
    expect(await claim()).toMatchObject({ id, approved: true, summaryJson: '{}' });
    expect((await moved('head-moved', 'topic', '3')).queued).toMatchObject({ approved: false });
    expect(await changes.requeue('nobody', { atMs: 1 })).toBeNull();
  });

  it('tries a fault again in its time, and counts', async () => {
    const { changes } = given();
    const { queued } = await moved('head-moved', 'topic', '1');
    const lease = { id: queued?.id ?? '', owner: 'a' };
    for (const faults of [1, 2]) {
      await claim(faults * 1000);
      const retry = { fault: 'GIT_TIMEOUT: slow', retryAtMs: faults * 1000 + 500, atMs: 5 };
      expect(await changes.retryLater(lease, retry)).toBe(true);
      expect(await changes.find(lease.id)).toMatchObject({
        state: 'queued',
        faults,
        fault: retry.fault,
        retryAtMs: retry.retryAtMs,
      });
      expect(await claim(faults * 1000 + 499)).toBeNull();
    }
    await claim(2500);
    expect(await changes.finish(lease, judged, 9)).toBe(true);
    expect(await changes.find(lease.id)).toMatchObject({ fault: null, faults: 0, retryAtMs: null });
  });

  it('does not wait for a clock that was set back to come so far again', async () => {
    const { changes } = given();
    const { queued } = await moved('head-moved', 'topic', '1');
    const lease = { id: queued?.id ?? '', owner: 'a' };
    await claim(9000);
    await changes.retryLater(lease, { fault: 'GIT_TIMEOUT: slow', retryAtMs: 9500, atMs: 9000 });
    expect(await claim(9499)).toBeNull();
    expect(await claim(1000)).toMatchObject({ id: lease.id });
  });

  it('forgets what was replaced long ago, and gives no number twice', async () => {
    const { changes, deliveries, jobsets } = given();
    await moved('head-moved', 'one', '1');
    await moved('head-moved', 'one', '2');
    await tell({ kind: 'branch-gone', repository, branch: 'one' });
    await moved('base-moved', 'main', '3');
    const baseline = await finish();
    await changes.submit(submission);
    await finish();
    await changes.submit({ ...submission, id: 'newest' });
    await finish();
    expect(await changes.forget(1)).toBe(0);
    expect(await changes.forget(1_000_000)).toBe(2);
    expect(await changes.find(submission.id)).toBeNull();
    expect(await changes.find(baseline)).not.toBeNull();
    expect((await moved('head-moved', 'two', '4')).queued).toMatchObject({ number: 2 });
    expect((await moved('head-moved', 'one', '5')).queued).toMatchObject({ number: 1 });
    expect((await changes.submit({ ...submission, id: 'next' })).change.number).toBe(3);
    expect(await deliveries.forget(1000)).toBe(0);
    await deliveries.receive([{ key: 'unfinished', payload: '{}', receivedAtMs: 1 }]);
    expect(await deliveries.forget(1_000_000)).toBeGreaterThan(4);
    expect(await deliveries.unfinished(10)).toHaveLength(1);
    expect(await jobsets.forget(1_000_000)).toBe(0);
  });
};
