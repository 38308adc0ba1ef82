// Every released schema, with rows in it, becomes the newest one and keeps its rows.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { CommitSha, DrvPath, TreeSha } from '@eka-ci/core/ids';
import { Kysely, sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../database.ts';
import { NodeSqliteDialect } from '../kysely/sqlite/node-sqlite-dialect.ts';
import { applicationId } from '../kysely/sqlite/sqlite-connection.ts';
import { openSqliteDatabase } from '../kysely/sqlite/sqlite-database.ts';
import { applyMigrations } from './apply-migrations.ts';
import { columnTypes, migrationNumber, migrations } from './migrations.ts';
import type { SchemaMigration } from './schema-migration.ts';

const types = columnTypes.sqlite;
let folder: string;
let path: string;
let file: DatabaseSync;
let db: Kysely<unknown>;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'eka-ci-migrations-'));
  path = join(folder, 'sqlite.db');
  file = new DatabaseSync(path);
  file.exec(`pragma application_id = ${applicationId}`);
  db = new Kysely<unknown>({ dialect: new NodeSqliteDialect(file) });
});
afterEach(() => {
  if (file.isOpen) file.close();
  rmSync(folder, { recursive: true, force: true });
});

/** What the first migration's sample rows say, through the port of today. */
const expectFirstSamples = async (database: Database): Promise<void> => {
  const hello = '/nix/store/00000000000000000000000000000002-hello-2.12.drv' as DrvPath;
  const dependency = '/nix/store/00000000000000000000000000000001-dep-1.0.drv' as DrvPath;
  expect(await database.derivations.known([hello])).toEqual(new Set([hello]));
  expect(await database.derivations.find(hello)).toMatchObject({
    preferLocalBuild: true,
    allowSubstitutes: true,
    requiredFeatures: ['kvm'],
    inputs: [{ path: dependency, outputs: ['dev'] }],
  });
  expect(await database.derivations.dependentsOf(dependency)).toEqual([hello]);
  expect(await database.builds.historyOf(dependency)).toMatchObject([
    { sequence: 1, from: null, to: 'queued' },
    { sequence: 2, from: 'queued', to: 'failed', cause: 'network', culprit: dependency, logFile: 'a/1.log' },
  ]);
  expect((await database.builds.statesOf([dependency])).get(dependency)).toMatchObject({ sequence: 2 });
  expect(await database.changes.find('c1')).toMatchObject({ title: 'a title', base: 'b' as CommitSha });
  const jobset = await database.jobsets.find({
    tree: 't' as TreeSha,
    commit: null,
    jobDefinition: 'j',
    systems: ['x86_64-linux'],
    evaluator: 'e',
    evaluatorVersion: '1',
    settings: 's',
  });
  if (jobset === null) throw new Error('the sample jobset is gone');
  const attrs: string[] = [];
  for await (const batch of database.jobsets.records(jobset.id)) attrs.push(...batch.map(({ attr }) => attr));
  expect(attrs).toEqual(['a']);
};

/** What the second's say: what it made of the first's, and its own. */
const expectSecondSamples = async (database: Database): Promise<void> => {
  expect(await database.changes.find('c1')).toMatchObject({ number: 1, branch: 'c1', state: 'judged' });
  expect(await database.changes.findByNumber('r', 2)).toMatchObject({ id: 'c2', state: 'judging' });
  expect(await database.deliveries.unfinished(10)).toEqual([
    { key: 'k2', payload: '{"a":1}', receivedAtMs: 2000 },
  ]);
  expect(await database.changes.claimNext({ owner: 'x', nowMs: 8999, untilMs: 9999 })).toBeNull();
  expect(await database.changes.claimNext({ owner: 'x', nowMs: 9001, untilMs: 9999 })).toMatchObject({
    id: 'c2',
  });
};

/** What the third's say. */
const expectThirdSamples = async (database: Database): Promise<void> => {
  expect(await database.changes.find('c4')).toMatchObject({
    kind: 'submitted',
    base: null,
    requestJson: '{}',
    faults: 0,
    approved: false,
  });
  expect(await database.changes.claimNext({ owner: 'x', nowMs: 9499, untilMs: 9999 })).toBeNull();
  expect(await database.changes.claimNext({ owner: 'x', nowMs: 9500, untilMs: 9999 })).toMatchObject({
    id: 'c3',
    kind: 'baseline',
    faults: 1,
  });
};

/** What the fifth's say. */
const expectFifthSamples = async (database: Database): Promise<void> => {
  const key = { pname: 'hello', system: 'x86_64-linux', fixedOutput: false };
  expect(await database.packages.historiesOf([key])).toEqual([
    { ...key, recentMs: [1200, 900], flakyBuilds: 2, flakyAtMs: 4000 },
  ]);
};

/** What the sixth's say. */
const expectSixthSamples = async (database: Database): Promise<void> => {
  const dependency = '/nix/store/00000000000000000000000000000001-dep-1.0.drv' as DrvPath;
  expect((await database.builds.statesOf([dependency])).get(dependency)).toMatchObject({ cleared: true });
  expect(await database.changes.offerChanged()).toEqual([
    { id: 'c1', asked: [{ system: 'riscv64-linux', requiredFeatures: ['kvm'], fixedOutput: false }] },
  ]);
  const shown = { drvs: [], failuresOf: 'c1', askedOf: 'c1', atMs: 1 };
  expect(await database.changes.clearFailures(shown)).toMatchObject({ cleared: 0, changes: [{ id: 'c1' }] });
};

/** What the seventh's say. */
const expectSeventhSamples = async (database: Database): Promise<void> => {
  const repository = 'github.com/owner/set';
  expect(await database.changes.findByNumber(repository, 1234)).toMatchObject({
    id: 'c5',
    kind: 'offered',
    branch: 'pull/1234',
    baseBranch: 'staging',
    requestJson: '{}',
  });
  const claim = { owner: 'x', nowMs: 6000, untilMs: 7000, limit: 10 };
  expect(await database.gates.claimDue({ ...claim, nowMs: 5999 })).toEqual([]);
  const [gate] = await database.gates.claimDue(claim);
  expect(gate).toMatchObject({ version: 3, sentVersion: 2, forgeId: Number.MAX_SAFE_INTEGER, attempts: 1 });
};

/** What the eighth's say. */
const expectEighthSamples = async (database: Database): Promise<void> => {
  const bob = { host: 'github.com', userId: Number.MAX_SAFE_INTEGER };
  expect(await database.approvals.isApproved(bob)).toBe(true);
  const run = { host: 'github.com', runId: Number.MAX_SAFE_INTEGER - 1 };
  expect(await database.approvals.isRunHeld(run)).toBe(true);
};

/** What the ninth's say. */
const expectNinthSamples = async (database: Database): Promise<void> => {
  const octocat = { host: 'github.com', id: 583_231, login: 'Octocat', promoted: true, listedAs: 'octocat' };
  expect(await database.users.useToken('a'.repeat(64), 4000)).toMatchObject(octocat);
  expect(await database.users.ofSession(octocat, 's1')).toBeNull();
};

/** What the tenth's say. */
const expectTenthSamples = async (database: Database): Promise<void> => {
  const repository = 'github.com/owner/set';
  expect(await database.merges.unfinished()).toMatchObject([
    { id: 1, state: 'merging', method: 'squash', commentId: Number.MAX_SAFE_INTEGER, telling: null },
  ]);
  expect(await database.reviews.of(repository, 1234)).toMatchObject([{ reviewerId: 8, verdict: 'approved' }]);
  expect(await database.maintainers.of('hello')).toMatchObject([{ userId: 8, login: 'bob' }]);
  const granted = { state: 'granted', by: 'operator', atMs: 9000 } as const;
  expect(await database.maintainers.decide(1, granted)).toMatchObject({ attr: 'curl', state: 'granted' });
  expect(await database.maintainers.attrsOf('github.com', 8)).toEqual(['curl', 'hello']);
  expect(await database.maintainers.packagesOf('c5')).toBe('{}');
};

/** What the thirteenth's say. */
const expectThirteenthSamples = async (database: Database): Promise<void> => {
  const hello = '/nix/store/00000000000000000000000000000002-hello-2.12.drv' as DrvPath;
  expect(await database.hookRuns.of(hello)).toMatchObject([
    { id: 1, hook: 'notify', state: 'running', tries: 1, logFile: '00/x.log' },
  ]);
  expect(await database.hookRuns.interruptRunning(9000)).toMatchObject([{ id: 1, state: 'interrupted' }]);
};

/** What the eleventh's say. */
const expectTwelfthSamples = async (database: Database, changeId: string | null): Promise<void> => {
  const repository = 'github.com/owner/set';
  expect(await database.publications.waiting('pushes', 10)).toEqual([
    { id: 1, changeId: 'c5', repository, json: '{}', atMs: 8000 },
  ]);
  expect(await database.publications.waiting('hooks', 10)).toEqual([]);
  const claim = { cache: 'main', owner: 'y', nowMs: 9000, untilMs: 9999, limit: 10 };
  expect(await database.pushes.claim(claim)).toMatchObject([
    { id: 1, repository: 'owner/set', branch: 'main', changeId, attempts: 2 },
  ]);
};

const expectEleventhSamples = async (database: Database): Promise<void> => {
  const [host, repositoryId, name] = ['github.com', Number.MAX_SAFE_INTEGER, 'Owner/Set'];
  expect(await database.repositories.list()).toContainEqual({
    ...{ host, repositoryId, name },
    formerNames: ['Owner/Old-Set'],
  });
};

/** Whatever it was upgraded from, it takes what is new. */
const expectNewOffer = async (database: Database): Promise<void> => {
  expect(await database.changes.find('c1')).toMatchObject({ baseBranch: null });
  const update = {
    kind: 'offer-moved',
    repository: 'github.com/owner/set',
    number: 77,
    branch: 'pull/77',
    baseBranch: 'main',
    base: 'b' as CommitSha,
    head: 'h77' as CommitSha,
    title: 'new',
    requestJson: '{}',
    awaitsApproval: false,
    newId: 'c77',
  } as const;
  const [applied] = await database.changes.apply([{ deliveryKey: 'new', update }], 9000);
  expect(applied?.queued).toMatchObject({ id: 'c77', number: 77 });
  const gate = { host: 'h', repository: 'r', headSha: update.head, name: 'n' };
  const wanted = { ...gate, wantedJson: '1', placeJson: '2', isConcluded: true, priority: 1 };
  expect(await database.gates.want([wanted], 1)).toBe(1);
};

/** What the fourteenth's say. */
const expectFourteenthSamples = async (database: Database): Promise<void> => {
  const outputTail = ['bad'];
  expect(await database.checkRuns.ofChange('c1')).toMatchObject([
    {
      id: 'k1',
      name: 'format',
      state: 'failed',
      status: 3,
      outputTail,
      logFile: 'k1/k1.log',
      endedAtMs: 9000,
    },
  ]);
  const run = { id: 'k2', changeId: 'c1', name: 'format', question: 'q1', queuedAtMs: 1 };
  await database.checkRuns.queue(run);
  expect(await database.checkRuns.ofChange('c1')).toMatchObject([{ id: 'k2', state: 'queued' }]);
};

describe('migrations', () => {
  it.each(migrations.map(({ name }, index) => ({ name, count: index + 1 })))(
    'upgrades a used database of $name',
    async ({ count }) => {
      for (const [index, migration] of migrations.slice(0, count).entries()) {
        await applyMigrations(db, { types, migrations: migrations.slice(0, index + 1) });
        await migration.sampleRows(db);
      }
      file.close();
      const database = await openSqliteDatabase({ path, durability: 'process-death' });
      try {
        expect(await database.meta.schemaVersion()).toBe(migrations.length);
        await expectFirstSamples(database);
        if (count >= 2) await expectSecondSamples(database);
        if (count >= 3) await expectThirdSamples(database);
        if (count >= 5) await expectFifthSamples(database);
        if (count >= 6) await expectSixthSamples(database);
        if (count >= 7) await expectSeventhSamples(database);
        if (count >= 8) await expectEighthSamples(database);
        if (count >= 9) await expectNinthSamples(database);
        if (count >= 10) await expectTenthSamples(database);
        if (count >= 11) await expectEleventhSamples(database);
        if (count >= 12) await expectTwelfthSamples(database, count >= 17 ? 'c5' : null);
        if (count >= 13) await expectThirteenthSamples(database);
        if (count >= 14) await expectFourteenthSamples(database);
        await expectNewOffer(database);
      } finally {
        await database.close();
      }
      file = new DatabaseSync(path);
      expect(file.prepare('pragma integrity_check').all()).toMatchObject([{ integrity_check: 'ok' }]);
      expect(file.prepare('pragma foreign_key_check').all()).toEqual([]);
    },
  );

  it('finds out which repository a change is of, and sets aside what is under the name of another', async () => {
    const before = migrations.findIndex(({ name }) => name.startsWith('0016'));
    await applyMigrations(db, { types, migrations: migrations.slice(0, before) });
    const hosted = 'insert into hosted_repositories (host, repository_id, name, name_key) values';
    file.exec(`${hosted} ('h', 9, 'O/Set', 'o/set'), ('h', 7, 'o/moved', 'o/moved')`);
    const save = (id: string, kind: string, request: string | null) =>
      file
        .prepare(
          `insert into changes (id, kind, repository, base_commit, head_commit, title, created_at_ms, sequence,
            number, branch, state, updated_at_ms, priority, faults, approved, offer_changed, failures_cleared,
            request_json)
          values (?, ?, 'h/O/Set', '', 'c', 't', 1, ?, 1, 'b', 'closed', 1, 1, 0, 0, 0, 0, ?)`,
        )
        .run(id, kind, Number(id), request);
    save('1', 'offered', '{"repositoryId":9}');
    save('2', 'group', '{"repositoryId":5,"repository":"O/Set"}');
    save('3', 'offered', '{"repositoryId":7}');
    save('4', 'baseline', null);
    save('5', 'offered', 'of another version');
    file.close();
    const database = await openSqliteDatabase({ path, durability: 'process-death' });
    const places = await Promise.all(
      ['1', '2', '3', '4', '5'].map(async (id) => {
        const change = await database.changes.find(id);
        return [change?.repository, change?.repositoryId];
      }),
    );
    expect(places).toEqual([
      ['h/O/Set', 9],
      ['h/#5/set-aside', 5],
      ['h/o/moved', 7],
      ['h/O/Set', 9],
      ['h/O/Set', 9],
    ]);
    await database.close();
  });

  it('are numbered without gaps', () => {
    expect(migrations.map(({ name }) => migrationNumber(name))).toEqual(
      migrations.map((_, index) => index + 1),
    );
    for (const { name } of migrations) expect(name).toMatch(/^\d{4}(-[a-z]+)+$/);
  });

  it('leave the old schema whole when one fails half-way', async () => {
    await applyMigrations(db, { types });
    const failing: SchemaMigration = {
      name: '9999-fails',
      async up(target) {
        await sql`create table half (a integer)`.execute(target);
        await sql`drop table changes`.execute(target);
        throw new Error('the power went');
      },
      sampleRows: async () => {},
    };
    const applying = applyMigrations(db, { types, migrations: [...migrations, failing] });
    await expect(applying).rejects.toThrow('the power went');
    const names = file
      .prepare('select name from sqlite_schema')
      .all()
      .map((row) => row['name']);
    expect(names).toContain('changes');
    expect(names).not.toContain('half');
  });
});
