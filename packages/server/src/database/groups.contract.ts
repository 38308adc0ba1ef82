// Contract of the port's changes that merge queues make: one for each commit of a branch, judged before all others.
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import { beforeEach, expect, it } from 'vitest';
import type { BranchUpdate, ChangeResult, Database } from './database.ts';

type GroupMade = Extract<BranchUpdate, { kind: 'group-made' }>;

const shaOf = (digit: string): CommitSha => digit.repeat(40) as CommitSha;
const nothing = { queued: null, awaiting: null, ended: [] };
const branch = 'queue/main/1';

let repositories = 0;
let told = 0;

/** @param given shared with others */
export const groupContract = (given: () => Database): void => {
  let repository: string;
  beforeEach(() => {
    repository = `queues/${repositories++}`;
  });

  const tell = async (update: BranchUpdate) => {
    const key = `group ${told++}`;
    await given().deliveries.receive([{ key, payload: '{}', receivedAtMs: told }]);
    const [applied] = await given().changes.apply([{ deliveryKey: key, update }], 1000 + told);
    if (applied === undefined) throw new Error('nothing was applied');
    return applied;
  };
  const made = (digit: string, more: Partial<GroupMade> = {}): GroupMade => ({
    ...{ kind: 'group-made', repository, branch, baseBranch: 'main', base: shaOf('b'), head: shaOf(digit) },
    ...{ title: '#1', requestJson: '{}', newId: `group ${told}`, awaitsApproval: false },
    ...more,
  });
  const gone = (name = branch): BranchUpdate => ({ kind: 'group-gone', repository, branch: name });
  const stateOf = async (id: string | undefined) => (await given().changes.find(id ?? ''))?.state;

  it('is queued once, superseded by another commit of its branch, and closed with it', async () => {
    const first = await tell(made('1'));
    expect(first.queued).toMatchObject({
      ...{ kind: 'group', number: 0, branch, baseBranch: 'main', base: shaOf('b'), head: shaOf('1') },
      state: 'queued',
    });
    expect(await tell(made('1'))).toEqual(nothing);
    const other = await tell(made('1', { branch: 'queue/main/2' }));
    const second = await tell(made('2'));
    expect(second.ended).toEqual([first.queued?.id]);
    expect(await stateOf(first.queued?.id)).toBe('superseded');
    expect((await tell(gone())).ended).toEqual([second.queued?.id]);
    expect(await tell(gone())).toEqual(nothing);
    expect(await stateOf(other.queued?.id)).toBe('queued');
    // The same may come into the queue again.
    expect((await tell(made('2'))).queued).not.toBeNull();
    await tell(gone());
    await tell(gone('queue/main/2'));
  });

  it('waits for approval, which lasts for that commit', async () => {
    const { awaiting, queued } = await tell(made('1', { awaitsApproval: true }));
    expect(queued).toBeNull();
    expect(await stateOf(awaiting?.id)).toBe('awaiting-approval');
    expect(await tell(made('1', { awaitsApproval: true }))).toEqual(nothing);
    expect((await tell(made('1'))).queued).toMatchObject({ id: awaiting?.id, state: 'queued' });
    const next = await tell(made('2', { awaitsApproval: true }));
    const approved = await given().changes.requeue(next.awaiting?.id ?? '', { atMs: 5, approved: true });
    expect(approved).toMatchObject({ state: 'queued', approved: true });
    await tell(gone());
  });

  it('is claimed before what waits longer, and is none of the numbered changes', async () => {
    const { queued } = await tell({
      ...{ kind: 'head-moved', repository, branch: 'topic', base: shaOf('b'), head: shaOf('3') },
      ...{ title: 'topic', newId: `topic ${repository}` },
    });
    const group = await tell(made('1'));
    const claimed = await given().changes.claimNext({ owner: 'groups', nowMs: 0, untilMs: 1 });
    expect(claimed?.id).toBe(group.queued?.id);
    expect(queued).toMatchObject({ number: 1 });
    const { changes } = await given().changes.list({ repository, limit: 10 });
    expect(changes.map(({ kind }) => kind)).toEqual(['branch']);
    const listed = await given().changes.list({ repository, kinds: ['group'], limit: 10 });
    expect(listed.changes.map(({ id }) => id)).toEqual([group.queued?.id]);
    await tell(gone());
    await tell({ kind: 'branch-gone', repository, branch: 'topic' });
  });

  it('is forgotten when it is over: nothing follows from its place', async () => {
    const { queued } = await tell(made('1'));
    await tell(gone());
    await given().changes.forget(Number.MAX_SAFE_INTEGER);
    expect(await given().changes.find(queued?.id ?? '')).toBeNull();
  });

  it('is judged again where what it showed as failed is tried again', async () => {
    const { queued } = await tell(made('1'));
    const id = queued?.id ?? '';
    await given().changes.claimNext({ owner: 'groups', nowMs: 0, untilMs: 1 });
    const result: ChangeResult = {
      ...{ state: 'judged' as const, base: shaOf('b'), judgedTree: 'd'.repeat(40) as TreeSha, title: 't' },
      ...{ conclusion: 'failure', summaryJson: '{}', markdown: '' },
    };
    expect(await given().changes.finish({ id, owner: 'groups' }, result, 9)).toBe(true);
    const cleared = await given().changes.clearFailures({ drvs: [], failuresOf: id, askedOf: id, atMs: 10 });
    expect(cleared.changes).toMatchObject([{ id, state: 'queued' }]);
    await tell(gone());
  });
};
