// Contract of the port's queue: deliveries, what they make of changes, and leases.
import type { CommitSha } from '@eka-ci/core/ids';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { BranchUpdate, Database } from './database.ts';
import { judgedResult } from './testing/samples.ts';

type HeadMoved = Extract<BranchUpdate, { kind: 'head-moved' }>;

const repository = 'owner/set';
const shaOf = (digit: string): CommitSha => digit.repeat(40) as CommitSha;
const judged = judgedResult({ base: shaOf('9') });

let database: Database;
let told: number;

/** Receives and applies, as intake does; the delivery's key is new unless it is given. */
const tell = async (update: BranchUpdate, key = `delivery ${told++}`) => {
  await database.deliveries.receive([{ key, payload: '{}', receivedAtMs: told }]);
  const [applied] = await database.changes.apply([{ deliveryKey: key, update }], 1000 + told);
  if (applied === undefined) throw new Error('nothing was applied');
  return applied;
};

const moved = (branch: string, digit: string): HeadMoved => ({
  kind: 'head-moved',
  repository,
  branch,
  base: shaOf('b'),
  head: shaOf(digit),
  title: branch,
  newId: `${branch} ${digit} ${told}`,
});
const gone = (branch: string): BranchUpdate => ({ kind: 'branch-gone', repository, branch });

const claim = (owner: string, nowMs = 0, untilMs = nowMs + 100) =>
  database.changes.claimNext({ owner, nowMs, untilMs });

/** @param open makes an empty database that nobody else uses */
export const judgingContract = (open: () => Promise<Database>): void => {
  beforeEach(async () => {
    database = await open();
    told = 0;
  });
  afterEach(() => database.close());

  it('receives a delivery once, and has those that are not done again', async () => {
    const { deliveries } = database;
    const first = { key: 'a "key"', payload: '{"n":1}', receivedAtMs: 5 };
    const second = { key: 'another', payload: '{"n":2}', receivedAtMs: 4 };
    expect(await deliveries.receive([first, second])).toEqual(['new', 'new']);
    expect(await deliveries.receive([{ ...first, payload: 'forged' }])).toEqual(['unfinished']);
    expect(await deliveries.unfinished(10)).toEqual([first, second]);
    expect(await deliveries.unfinished(1)).toEqual([first]);
    expect(await deliveries.unfinished(10, first.key)).toEqual([second]);
    expect(await deliveries.unfinished(10, second.key)).toEqual([]);
    await deliveries.finish(first.key, 9);
    await deliveries.finish(first.key, 10);
    expect(await deliveries.receive([first, second])).toEqual(['done', 'unfinished']);
    expect(await deliveries.unfinished(10)).toEqual([second]);
    expect(await deliveries.unfinished(10, first.key)).toEqual([second]);
    await deliveries.finish([], 11);
    await deliveries.finish([first.key, second.key, 'of nothing'], 11);
    expect(await deliveries.receive([first, second])).toEqual(['done', 'done']);
    expect(await deliveries.receive([])).toEqual([]);
  });

  it('numbers branches once and for ever', async () => {
    const one = await tell(moved('one', '1'));
    expect(one.queued).toMatchObject({ number: 1, state: 'queued', conclusion: null, branch: 'one' });
    expect((await tell(moved('two', '2'))).queued).toMatchObject({ number: 2 });
    await tell(gone('one'));
    expect(await database.changes.findByNumber(repository, 1)).toMatchObject({ state: 'closed' });
    const again = await tell(moved('one', '1'));
    expect(again.queued).toMatchObject({ number: 1, state: 'queued' });
    expect(again.queued?.id).not.toBe(one.queued?.id);
    const elsewhere = await tell({ ...moved('one', '1'), repository: 'other/set', newId: 'x' });
    expect(elsewhere.queued).toMatchObject({ number: 1 });
  });

  it('applies a delivery once, and knows a head that is the current one', async () => {
    expect((await tell(moved('one', '1'), 'k')).queued).not.toBeNull();
    expect(await tell(moved('one', '2'), 'k')).toEqual({ queued: null, awaiting: null, ended: [] });
    expect(await tell(moved('one', '1'))).toEqual({ queued: null, awaiting: null, ended: [] });
    expect(await database.deliveries.unfinished(10)).toEqual([]);
    const { changes } = await database.changes.list({ limit: 10 });
    expect(changes).toHaveLength(1);
  });

  it('supersedes what an older head waits for or is judged for, and says so', async () => {
    const first = await tell(moved('one', '1'));
    const running = await claim('server');
    expect(running).toMatchObject({ id: first.queued?.id, state: 'judging' });
    const second = await tell(moved('one', '2'));
    expect(second.ended).toEqual([first.queued?.id]);
    const lease = { id: running?.id ?? '', owner: 'server' };
    expect(await database.changes.renew(lease, 900)).toBe(false);
    expect(await database.changes.finish(lease, judged, 5000)).toBe(false);
    expect(await database.changes.release(lease, 5000)).toBe(false);
    expect(await database.changes.find(lease.id)).toMatchObject({ state: 'superseded', conclusion: null });
    expect(await claim('server')).toMatchObject({ id: second.queued?.id });
    expect((await tell(gone('one'))).ended).toEqual([second.queued?.id]);
    expect((await tell(gone('one'))).ended).toEqual([]);
    expect(await claim('server')).toBeNull();
  });

  it('gives each change to one owner, in the order of arrival, until the lease runs out', async () => {
    await tell(moved('one', '1'));
    await tell(moved('two', '2'));
    const claims = await Promise.all([claim('a', 0), claim('b', 0), claim('c', 0)]);
    expect(claims.map((one) => one?.branch)).toEqual(['one', 'two', undefined]);
    const lease = { id: claims[0]?.id ?? '', owner: 'a' };
    expect(await database.changes.renew(lease, 300)).toBe(true);
    expect(await database.changes.renew({ ...lease, owner: 'b' }, 300)).toBe(false);
    expect(await claim('c', 100)).toBeNull();
    expect(await claim('c', 101)).toMatchObject({ branch: 'two' });
    expect(await claim('c', 301)).toMatchObject({ branch: 'one' });
    expect(await database.changes.finish(lease, judged, 400)).toBe(false);
  });

  it('keeps a result, or why there is none', async () => {
    await tell(moved('one', '1'));
    await tell(moved('two', '2'));
    const [one, two] = [await claim('a'), await claim('a')];
    expect(await database.changes.finish({ id: one?.id ?? '', owner: 'a' }, judged, 7000)).toBe(true);
    expect(await database.changes.find(one?.id ?? '')).toMatchObject({
      ...judged,
      updatedAtMs: 7000,
      fault: null,
    });
    const fault = { state: 'failed', conclusion: 'failure', fault: 'MERGE_CONFLICT: rebase it' } as const;
    expect(await database.changes.finish({ id: two?.id ?? '', owner: 'a' }, fault, 7001)).toBe(true);
    expect(await database.changes.find(two?.id ?? '')).toMatchObject(fault);
    expect(await claim('a', 10_000)).toBeNull();
  });

  it('queues again what was released or what its owner left behind, in its old place', async () => {
    await tell(moved('one', '1'));
    await tell(moved('two', '2'));
    const one = await claim('a');
    expect(await database.changes.release({ id: one?.id ?? '', owner: 'a' }, 50)).toBe(true);
    expect(await claim('a')).toMatchObject({ branch: 'one' });
    await claim('b');
    expect(await database.changes.releaseAll('a', 60)).toBe(1);
    expect(await database.changes.releaseAll('a', 60)).toBe(0);
    expect(await claim('a')).toMatchObject({ branch: 'one', updatedAtMs: 0 });
    expect(await claim('a')).toBeNull();
  });

  it('gives no change of a repository that has to wait, and finds its place again', async () => {
    await tell(moved('one', '1'));
    await tell({ ...moved('two', '2'), repository: 'other/set', newId: 'two' });
    const waiting = { owner: 'a', nowMs: 0, untilMs: 100, notOf: [repository, 'third/set'] };
    expect(await database.changes.claimNext(waiting)).toMatchObject({ branch: 'two' });
    expect(await database.changes.claimNext(waiting)).toBeNull();
    expect(await claim('a')).toMatchObject({ branch: 'one' });
  });

  it('ends the baselines of a base branch that is gone, and no change of that name', async () => {
    const of = { repository, branch: 'staging' };
    await tell(moved('staging', '1'));
    const tip = { ...of, base: null, head: shaOf('2'), title: 'staging', newId: 'tip' };
    await tell({ kind: 'base-moved', ...tip });
    expect((await tell({ kind: 'base-gone', ...of })).ended).toEqual(['tip']);
    expect((await tell({ kind: 'base-gone', ...of })).ended).toEqual([]);
    const all = await database.changes.list({
      kinds: ['branch', 'baseline'],
      branch: 'staging',
      limit: 10,
    });
    const states = Object.fromEntries(all.changes.map(({ kind, state }) => [kind, state]));
    expect(states).toEqual({ branch: 'queued', baseline: 'closed' });
    expect((await database.changes.list({ branch: 'other', limit: 10 })).changes).toEqual([]);
  });
};
