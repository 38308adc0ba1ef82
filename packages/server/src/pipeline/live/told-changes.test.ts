import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BranchUpdate, ChangeResult, Changes, Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { createLiveFeed } from './live-feed.ts';
import { tellChanges } from './told-changes.ts';

let folder: string;
let database: Database;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'told-changes-'));
  database = await openWarmDatabase({ path: join(folder, 'test.db'), durability: 'process-death' });
});
afterEach(async () => {
  await database.close();
  await rm(folder, { recursive: true });
});

const sha = (digit: string) => digit.repeat(40) as CommitSha;
const lease = (id: string) => ({ id, owner: 'server' });
const claim = { owner: 'server', nowMs: 10, untilMs: 1000 };
const judged: ChangeResult = {
  state: 'judged',
  base: sha('b'),
  judgedTree: 'c'.repeat(40) as TreeSha,
  title: 'title',
  conclusion: 'failure',
  summaryJson: JSON.stringify({
    jobs: [
      { job: 'packages', conclusion: 'failure', headline: 'breaks 1' },
      { job: 'tests', conclusion: 'success', headline: 'fine' },
    ],
  }),
  markdown: '',
};
const moved = (branch: string, head: CommitSha, newId: string): BranchUpdate => ({
  kind: 'head-moved',
  repository: 'me/packages',
  branch,
  base: sha('b'),
  head,
  title: branch,
  newId,
});

/** Applies updates as a forge's delivery does. */
const deliver = async (changes: Changes, ...updates: BranchUpdate[]): Promise<void> => {
  const deliveries = updates.map((update) => {
    return { key: JSON.stringify(update), payload: '{}', receivedAtMs: 1 };
  });
  await database.deliveries.receive(deliveries);
  const delivered = updates.map((update) => ({ deliveryKey: JSON.stringify(update), update }));
  await changes.apply(delivered, 5);
};

const follow = () => {
  const feed = createLiveFeed();
  const heard: string[] = [];
  const reader = feed.join({
    maySee: () => true,
    maySeeDrv: () => true,
    take({ event }) {
      if (event.type === 'change_update') heard.push(`${event.change.id} ${event.change.state}`);
      if (event.type === 'job_complete') heard.push(`${event.jobId} ${event.conclusion}`);
    },
    onLines: () => {},
  });
  const faults: unknown[] = [];
  const changes = tellChanges({ changes: database.changes, feed, onFault: (fault) => faults.push(fault) });
  return { heard, reader, changes, faults };
};

describe('changes that are told', () => {
  it('are those of every call that moves one, after it is on disk, whoever calls', async () => {
    const { heard, reader, changes } = follow();
    reader.follow({ resource: 'allbuilds' });
    reader.follow({ resource: 'change', id: 'one' });
    await deliver(changes, moved('one', sha('1'), 'one'), moved('two', sha('2'), 'two'));
    await changes.claimNext(claim);
    await changes.finish(lease('one'), judged, 20);
    await changes.claimNext(claim);
    await changes.retryLater(lease('two'), { fault: 'GIT_FAILED: try', retryAtMs: 30, atMs: 25 });
    await changes.claimNext({ ...claim, nowMs: 40 });
    await changes.release(lease('two'), 41);
    await changes.cancel('two', 42);
    await changes.requeue('two', { atMs: 43 });
    await changes.submit({
      id: 'three',
      repository: '/home/me/packages',
      branch: 'HEAD',
      base: null,
      head: sha('3'),
      title: 'mine',
      requestJson: '{}',
      atMs: 50,
    });
    expect(heard).toEqual([
      'one queued',
      'two queued',
      'one judging',
      'one.0 failure',
      'one.1 success',
      'one judged',
      'two judging',
      'two queued',
      'two judging',
      'two queued',
      'two failed',
      'two queued',
      'three queued',
    ]);
  });

  it('are also those that a newer head replaces and those whose branch is gone, judged or not', async () => {
    const { heard, reader, changes } = follow();
    await deliver(changes, moved('one', sha('1'), 'one'), moved('two', sha('2'), 'two'));
    await changes.claimNext(claim);
    await changes.finish(lease('one'), judged, 20);
    reader.follow({ resource: 'allbuilds' });
    await deliver(changes, moved('one', sha('3'), 'newer'), {
      kind: 'branch-gone',
      repository: 'me/packages',
      branch: 'two',
    });
    expect(heard.toSorted()).toEqual(['newer queued', 'one superseded', 'two closed']);
    await deliver(changes, moved('one', sha('3'), 'newer'));
    expect(heard).toHaveLength(3);
  });

  it('are those of hosted forges too, found by their number', async () => {
    const { heard, reader, changes } = follow();
    const offered = (number: number, digit: string): BranchUpdate => ({
      kind: 'offer-moved',
      repository: 'github.com/me/packages',
      number,
      branch: `pull/${number}`,
      baseBranch: 'main',
      base: sha('b'),
      head: sha(digit),
      title: 'title',
      requestJson: '{}',
      awaitsApproval: false,
      newId: `${number}-${digit}`,
    });
    reader.follow({ resource: 'allbuilds' });
    await deliver(changes, offered(1, '1'), offered(2, '1'));
    await deliver(changes, offered(1, '2'));
    const closing = { kind: 'offer-closed', repository: 'github.com/me/packages', number: 2 } as const;
    await deliver(changes, closing);
    const first = ['1-1 queued', '2-1 queued'];
    expect(heard).toEqual([...first, '1-1 superseded', '1-2 queued', '2-1 closed']);
    await deliver(changes, closing);
    expect(heard).toHaveLength(5);
  });

  it('cost no look where nobody follows, and a look that fails costs only the telling', async () => {
    const { heard, reader, faults } = follow();
    const looks: string[] = [];
    const broken: Changes = {
      ...database.changes,
      find: (id) => {
        looks.push(id);
        return Promise.reject(new Error('no answer'));
      },
    };
    const feed = createLiveFeed();
    const changes = tellChanges({ changes: broken, feed, onFault: (fault) => faults.push(fault) });
    await deliver(changes, moved('one', sha('1'), 'one'));
    await changes.claimNext(claim);
    expect(await changes.release(lease('one'), 5)).toBe(true);
    expect(looks).toEqual([]);
    feed
      .join({ maySee: () => true, maySeeDrv: () => true, take: () => {}, onLines: () => {} })
      .follow({ resource: 'allbuilds' });
    await changes.claimNext(claim);
    expect(await changes.finish(lease('one'), judged, 20)).toBe(true);
    expect([looks, faults]).toMatchObject([['one'], [{ message: 'no answer' }]]);
    expect(await changes.finish(lease('one'), judged, 20)).toBe(false);
    expect(looks).toHaveLength(1);
    reader.follow({ resource: 'allbuilds' });
    expect(heard).toEqual([]);
  });
});
