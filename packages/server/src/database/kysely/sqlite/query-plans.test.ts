// What is asked often reads as much as it answers, however many rows lie beside: SQLite says so of each statement.
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import type { CommitSha, DrvPath, StorePath } from '@eka-ci/core/ids';
import { Kysely } from 'kysely';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { applyMigrations } from '../../migrations/apply-migrations.ts';
import { columnTypes } from '../../migrations/migrations.ts';
import { type Calls, createCalls } from '../calls.ts';
import type { Session, SqlRow } from '../session.ts';
import type { Tables } from '../tables.ts';
import { NodeSqliteDialect } from './node-sqlite-dialect.ts';

let file: DatabaseSync;
let calls: Calls;
let plans: string[] = [];

const explain = (text: string, parameters: readonly unknown[]): void => {
  // The same values as the statement itself was given.
  const rows = file.prepare(`explain query plan ${text}`).all(...(parameters as SQLInputValue[]));
  plans.push(rows.map(({ detail }) => String(detail)).join('; '));
};

beforeEach(async () => {
  file = new DatabaseSync(':memory:');
  const dialect = new NodeSqliteDialect(file);
  await applyMigrations(new Kysely<unknown>({ dialect }), { types: columnTypes.sqlite });
  const kysely = new Kysely<Tables>({
    dialect,
    log: ({ query }) => explain(query.sql, query.parameters),
  });
  const run: Session['run'] = (text, parameters) => {
    const asked = text.replace(/\$\d+/g, '?');
    explain(asked, parameters);
    return file.prepare(asked).all(...parameters) as SqlRow[];
  };
  calls = createCalls({ kysely, run });
});
afterEach(() => file.close());

/** The plans of what `work` asks, but for the counter that locks. */
const plansOf = async (work: () => Promise<unknown>): Promise<readonly string[]> => {
  plans = [];
  await work();
  return plans.filter((plan) => !plan.includes('counters') && plan !== '');
};

const gate = { host: 'github.com', repository: 'o/r', headSha: 'h' as CommitSha, name: 'n' };
const wanted = { ...gate, wantedJson: '1', placeJson: '2', isConcluded: false, priority: 1 };
const byKey =
  'SEARCH gates USING INDEX sqlite_autoindex_gates_1 (host=? AND repository=? AND head_sha=? AND name=?)';

it('finds a gate by its key, for whatever is told of it', async () => {
  const { gates } = calls;
  const told = await plansOf(async () => {
    await gates.want([wanted, { ...wanted, wantedJson: '2' }, wanted], 1);
    await gates.sent({ ...gate, version: 2 }, { forgeId: 1, atMs: 2 });
    await gates.failed({ ...gate, version: 3 }, { fault: 'F', nextAtMs: null, atMs: 3 });
    await gates.find(gate);
  });
  expect(new Set(told)).toEqual(new Set([byKey]));
  expect(told.length).toBeGreaterThan(10);
});

it('reads of all gates only those that wait, were given up, or are not concluded', async () => {
  const { gates } = calls;
  await gates.want([wanted], 1);
  const claim = { owner: 'a', host: 'github.com', nowMs: 9, untilMs: 10, limit: 8 };
  expect(await plansOf(() => gates.claimDue(claim))).toEqual([
    'SEARCH gates USING INDEX gates_waiting (host=?)',
    byKey,
  ]);
  expect(await plansOf(() => gates.releaseAll('a'))).toEqual([
    expect.stringContaining('INDEX gates_claimed (claim_owner=?)'),
  ]);
  const page = { after: gate, limit: 10 };
  expect(await plansOf(() => gates.unfinishedOf('github.com', page))).toEqual([
    expect.stringContaining('INDEX gates_unfinished (host=? AND (repository,head_sha,name)>(?,?,?))'),
  ]);
  expect(await plansOf(() => gates.counts())).toEqual([
    'SCAN gates USING COVERING INDEX gates_waiting',
    'SCAN gates USING COVERING INDEX gates_given_up',
  ]);
  expect(await plansOf(() => gates.ofHead(gate))).toEqual([
    expect.stringContaining('(host=? AND repository=? AND head_sha=?)'),
  ]);
  expect(await plansOf(() => gates.forget(1))).toEqual([
    expect.stringContaining('INDEX gates_by_age (updated_at_ms<?)'),
  ]);
});

it('finds an offered change by its number, and lists several kinds in their order', async () => {
  const repository = 'github.com/o/r';
  const offer = {
    repository,
    number: 7,
    branch: 'pull/7',
    baseBranch: 'main',
    title: 't',
    requestJson: '{}',
    awaitsApproval: false,
  };
  const commits = { base: 'b' as CommitSha, head: 'h' as CommitSha };
  const update = { kind: 'offer-moved', ...offer, ...commits, newId: 'one' } as const;
  const applied = await plansOf(async () => {
    await calls.judging.apply([{ deliveryKey: 'k', update }], 1);
    await calls.judging.apply(
      [{ deliveryKey: 'l', update: { kind: 'offer-closed', repository, number: 7 } }],
      2,
    );
  });
  const ofChanges = applied.filter((plan) => plan.includes('changes') && !plan.includes('change_failures'));
  expect(ofChanges.length).toBeGreaterThanOrEqual(3);
  for (const plan of ofChanges)
    expect(plan).toMatch(/^SEARCH changes USING INDEX (changes_by_number|sqlite_)/);
  const listed = await plansOf(() => calls.changes.list({ repository, states: ['judged'], limit: 10 }));
  const inOrder = 'SEARCH changes USING INDEX changes_by_kind (repository=? AND kind=?)';
  expect(listed).toEqual([inOrder, inOrder]);
});

it('finds who asks by what they show, in each request', async () => {
  const { users } = calls;
  const key = { host: 'github.com', id: 1 };
  const told = await plansOf(async () => {
    await users.signIn({ ...key, login: 'alice', atMs: 1, isListed: true });
    const token = { user: key, id: 't', name: 'n', hash: 'h', createdAtMs: 1, expiresAtMs: null };
    await users.addToken(token, 10);
    await users.useToken('h', 1);
    await users.ofSession(key, 's');
    await users.tokensOf(key);
    await users.findByLogin('github.com', 'ALICE');
    await users.list({ after: key, limit: 10 });
    await users.removeToken(key, 't');
    await users.forget(1);
  });
  expect(told.length).toBeGreaterThan(10);
  // Of few tokens of one user the newest come first.
  for (const plan of told)
    expect(plan.replace('USE TEMP B-TREE FOR LAST TERM OF ORDER BY', '')).not.toMatch(/SCAN|TEMP/);
});

it('finds runs of checks by what they asked, and by their change', async () => {
  const { checkRuns } = calls;
  const run = { id: 'k', changeId: 'c1', name: 'n', question: 'q', queuedAtMs: 1 };
  const end = { outcome: 'failed', status: 1, reason: null, durationMs: 1, outputTail: [] } as const;
  const told = await plansOf(async () => {
    await checkRuns.queue(run);
    await checkRuns.start('k', 'log');
    await checkRuns.end('k', { ...end, isAnswer: true, atMs: 1 });
    await checkRuns.findAnswer('q', 0);
    await checkRuns.find('k');
    await checkRuns.ofChange('c1');
    await checkRuns.forgetAnswers('c1', null);
    await checkRuns.forget(1);
    // One at most for each check that runs.
    await checkRuns.interruptAll(1);
  });
  expect(told.length).toBeGreaterThan(8);
  for (const plan of told) expect(plan).not.toMatch(/SCAN (?!check_runs USING INDEX check_runs_open)|TEMP/);
});

it('reads of merges, reviews and maintainers what is asked for', async () => {
  const { merges, reviews, maintainers, changes } = calls;
  const repository = 'github.com/o/r';
  const headSha = 'h' as CommitSha;
  const merge = { repository, number: 1, headSha, baseBranch: 'main', method: null, byId: 1, byLogin: 'a' };
  const review = { repository, number: 1, reviewerId: 1, reviewerLogin: 'a', reviewId: 1, atMs: 1 };
  const person = { host: 'github.com', attr: 'hello', userId: 1, login: 'a' };
  const told = await plansOf(async () => {
    await merges.ask({ ...merge, commentId: 5, needsReviews: false, askedAtMs: 1 });
    await merges.ask({ ...merge, commentId: null, needsReviews: false, askedAtMs: 1 });
    await merges.unfinished();
    await merges.findByComment(repository, 5);
    await merges.findOpen(repository, 1);
    await merges.step(2, 'merging', 2);
    await merges.putOff(2, { fault: 'F', nextAtMs: 3, atMs: 2 });
    await merges.end(2, { state: 'merged', telling: { reaction: 'merged', reply: null }, atMs: 3 });
    await merges.told(2, 4);
    await merges.forget(5);
    await reviews.save({ ...review, verdict: 'approved', reviewedSha: headSha });
    await reviews.dismiss(review);
    await reviews.of(repository, 1);
    await maintainers.add({ ...person, grantedBy: 'root', atMs: 1 });
    await maintainers.of('hello');
    await maintainers.attrsOf('github.com', 1);
    await maintainers.remove(person);
    await maintainers.decide((await maintainers.request({ ...person, askedAtMs: 1 }))?.id ?? 0, {
      ...{ state: 'granted', by: 'root', atMs: 2 },
    });
    await maintainers.packagesOf('c1');
    await changes.list({ repository, branch: 'pull/1', kinds: ['offered'], states: ['judged'], limit: 1 });
  });
  expect(told.length).toBeGreaterThan(20);
  for (const plan of told)
    expect(plan).not.toMatch(/SCAN (?!merge_requests USING INDEX merge_requests_unfinished)|TEMP/);
});

it('reads of the runs of hooks only what waits, what runs, or what is of one build', async () => {
  const { hookRuns, builds } = calls;
  const drv = '/nix/store/a.drv' as DrvPath;
  const commitSha = 'h' as CommitSha;
  const cause = { repository: 'o/r', branch: 'main', job: 'j', commitSha, changeId: 'c' };
  const told = await plansOf(async () => {
    await hookRuns.want([{ hook: 'a', drv, attempt: 1, buildState: 'failed', ...cause }], 1);
    await hookRuns.due(2, 10);
    await hookRuns.nextDueMs();
    await hookRuns.begin(1, { logFile: 'l', atMs: 3 });
    await hookRuns.putOff(1, { message: 'm', nextAtMs: 4 });
    await hookRuns.end(1, { state: 'failed', exitStatus: 1, message: null, atMs: 5 });
    await hookRuns.interruptRunning(6);
    await hookRuns.of(drv);
    await hookRuns.counts();
    await hookRuns.forget(7);
    await builds.endedSince(8, { after: null, limit: 9 });
  });
  expect(told.length).toBeGreaterThan(10);
  for (const plan of told)
    expect(plan).not.toMatch(/SCAN (?!hook_runs USING (COVERING )?INDEX hook_runs_(waiting|running))|TEMP/);
  expect(told.at(-1)).toContain('INDEX builds_by_end');
});

it('reads of all pushes only those that wait, and finds one by its output', async () => {
  const { pushes } = calls;
  const push = {
    ...{ cache: 'main', drv: 'd' as DrvPath, outputs: ['o' as StorePath] as const, repository: 'o/r' },
    ...{ branch: 'main', changeId: 'c', publicationId: 1, priority: 0 },
  };
  const byOutput = expect.stringContaining('INDEX pushes_by_output (cache=? AND output=?)') as string;
  expect(await plansOf(() => pushes.want([push], 1))).toEqual([byOutput]);
  expect(await plansOf(() => pushes.settled({ cache: 'main', priority: 0 }, ['o' as StorePath]))).toEqual([
    byOutput,
  ]);
  const claim = { cache: 'main', owner: 'a', nowMs: 9, untilMs: 10, limit: 8 };
  const byId = 'SEARCH pushes USING INTEGER PRIMARY KEY (rowid=?)';
  expect(await plansOf(() => pushes.claim(claim))).toEqual([
    'SEARCH pushes USING INDEX pushes_waiting (cache=?)',
    'SEARCH pushes USING INDEX pushes_waiting (cache=?)',
    byId,
    'SEARCH changes USING INDEX sqlite_autoindex_changes_1 (id=?)',
  ]);
  const told = await plansOf(async () => {
    await pushes.renew({ ids: [1], owner: 'a' }, 20);
    await pushes.putOff({ ids: [1], owner: 'a' }, { fault: 'F', nextAtMs: 30, atMs: 10 });
    await pushes.settle([1], { state: 'pushed', fault: null, atMs: 10 });
  });
  expect(new Set(told)).toEqual(new Set([byId]));
  const beyond = 'SEARCH pushes USING INDEX pushes_by_output (cache=? AND output>?)';
  expect(await plansOf(() => pushes.askAgain('main', { after: '', atMs: 10 }))).toEqual([beyond, byId]);
  const forgotten = await plansOf(() => pushes.forget(5, ['main']));
  expect(forgotten[0]).toContain('INDEX pushes_by_age (updated_at_ms<?)');
  expect(forgotten[1]).toContain('pushes_waiting');
  for (const look of [
    () => pushes.counts(),
    () => pushes.publicationsWaiting(),
    () => pushes.releaseAll('a'),
  ]) {
    expect((await plansOf(look))[0]).toContain('INDEX pushes_waiting');
  }
});
