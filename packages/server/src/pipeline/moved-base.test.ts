// Which changes a moved base has judged again, on a real database with summaries made by hand.
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import { exampleSummary } from '@eka-ci/core/testing/example-summary';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ChangeListing, Database, StoredChange } from '../database/database.ts';
import { openWarmDatabase } from '../database/kysely/sqlite/testing/warm-database.ts';
import { createMovedBases, type MovedBases } from './moved-base.ts';

const shaOf = (digit: string): CommitSha => digit.repeat(40) as CommitSha;
const [oldBase, newBase] = [shaOf('1'), shaOf('2')];

/** A summary in which these attributes are other ones than on the base. */
const summaryOf = (...attrs: readonly string[]): string => {
  const summary = exampleSummary();
  const [job] = summary.jobs;
  const [row] = job?.packageChanges ?? [];
  if (job === undefined || row === undefined) throw new Error('the example is empty');
  const packageChanges = attrs.map((attr) => ({ ...row, attr, aliases: [] }));
  const attributes = { ...job.attributes, removed: 0 };
  return JSON.stringify({ ...summary, jobs: [{ ...job, attributes, packageChanges, outcomes: [] }] });
};

let database: Database;
let movedBases: MovedBases;
let requeued: string[];
let faults: unknown[];

beforeEach(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  [requeued, faults] = [[], []];
  movedBases = createMovedBases({
    database,
    repositories: [{ name: 'o/set', baseBranch: 'main' }],
    clock: () => 9000,
    onRequeued: (changes) => requeued.push(...changes.map(({ id }) => id)),
    onFault: (error) => faults.push(error),
  });
});
afterEach(() => database.close());

const save = async (id: string, more: Partial<StoredChange> = {}): Promise<ChangeListing> => {
  const change: StoredChange = {
    id,
    kind: 'branch',
    repository: 'o/set',
    number: 1,
    branch: id,
    baseBranch: null,
    base: oldBase,
    head: shaOf('a'),
    judgedTree: 'd'.repeat(40) as TreeSha,
    title: id,
    state: 'judged',
    createdAtMs: 1000,
    updatedAtMs: 1000,
    conclusion: 'success',
    fault: null,
    faults: 0,
    retryAtMs: null,
    approved: false,
    summaryJson: summaryOf('curl'),
    markdown: '',
    requestJson: null,
    ...more,
  };
  await database.changes.save(change);
  return change;
};

const tip = (id: string, more: Partial<StoredChange> = {}) =>
  save(id, { kind: 'baseline', number: 0, branch: 'main', head: newBase, ...more });

const judged = async (baseline: ChangeListing): Promise<string[]> => {
  movedBases.judged(baseline);
  await movedBases.settled();
  return requeued.splice(0).toSorted();
};

it('queues again what differs in the same attribute, with the new base; all else stays as it is', async () => {
  await save('same attribute');
  await save('another attribute', { summaryJson: summaryOf('jq') });
  await save('judged with it already', { base: newBase });
  await save('of another repository', { repository: 'o/other' });
  await save('in conflict', { state: 'failed', fault: 'MERGE_CONFLICT: rebase it', summaryJson: null });
  await save('broken', { state: 'failed', fault: 'CONFIG_INVALID: mend it', summaryJson: null });
  await save('of an older version', { summaryJson: '{"schemaVersion":0}' });
  await save('closed', { state: 'closed' });
  await save('submitted', { kind: 'submitted' });
  const baseline = await tip('tip');
  expect(await judged(baseline)).toEqual(['in conflict', 'of an older version', 'same attribute']);
  expect(await database.changes.find('same attribute')).toMatchObject({
    state: 'queued',
    base: newBase,
    // Readable until the next is there.
    conclusion: 'success',
  });
  expect(await judged(baseline)).toEqual([]);
  expect(faults).toEqual([]);
});

it('says nothing of a branch that was seen for the first time, of a base that nobody joins, of a fault', async () => {
  await save('a change');
  expect(await judged(await tip('first sight', { base: null }))).toEqual([]);
  expect(await judged(await tip('staging', { branch: 'staging' }))).toEqual([]);
  expect(await judged(await tip('failed', { state: 'failed', fault: 'GIT_FAILED: x' }))).toEqual([]);
  const unjudged = { state: 'superseded', conclusion: null, judgedTree: null, summaryJson: null } as const;
  expect(await judged(await tip('skipped', unjudged))).toEqual([]);
  expect(await judged(await tip('judged, then replaced', { state: 'superseded' }))).toEqual(['a change']);
});

it('does at the start what an earlier server left undone, by the newest baseline alone', async () => {
  await save('a change');
  await tip('older', { createdAtMs: 2000, head: shaOf('3') });
  await tip('newest', { createdAtMs: 3000 });
  await tip('another branch', { createdAtMs: 4000, branch: 'staging', head: shaOf('4') });
  await tip('not judged yet', {
    createdAtMs: 5000,
    head: shaOf('5'),
    state: 'queued',
    summaryJson: null,
    conclusion: null,
    judgedTree: null,
  });
  movedBases.resume();
  await movedBases.settled();
  expect(requeued).toEqual(['a change']);
  expect(await database.changes.find('a change')).toMatchObject({ base: newBase });
});

it('goes on after the database has failed', async () => {
  await save('a change');
  const baseline = await tip('tip');
  const { requeue } = database.changes;
  Object.assign(database.changes, { requeue: () => Promise.reject(new Error('full')) });
  expect(await judged(baseline)).toEqual([]);
  expect(faults).toMatchObject([{ message: 'full' }]);
  Object.assign(database.changes, { requeue });
  expect(await judged(baseline)).toEqual(['a change']);
});
