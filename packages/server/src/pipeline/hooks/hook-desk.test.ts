// Hooks from what a judgement hands on to what they did: on a real database and with real programs.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommitSha, DrvPath } from '@eka-ci/core/ids';
import { findMarked, startChild } from '@eka-ci/process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../config/secret.ts';
import { loadValid } from '../../config/testing/config-sources.ts';
import { CredentialError } from '../../credentials/credential-error.ts';
import { type Credentials, createCredentials } from '../../credentials/credentials.ts';
import { testHost } from '../../credentials/testing/load.ts';
import { startAzureDouble, startGcpDouble } from '../../credentials/testing/metadata-double.ts';
import type { Database, NewHookRun } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { judgedResult, newNode, newPath, step } from '../../database/testing/samples.ts';
import { createSecretMask } from '../../lib/secret-mask.ts';
import type { Publication } from '../publish/publication.ts';
import { writePublication } from '../publish/publication-parts.ts';
import { queuedChange } from '../testing/changes.ts';
import { createHookDesk, type HookDesk, type HookDeskDeps } from './hook-desk.ts';
import type { ConfiguredHook, HookEvent } from './hook-event.ts';
import { createHookLog } from './hook-log.ts';
import { hookLogFileOf } from './hook-log-file.ts';
import { markName } from './run-hook.ts';

const containing = (text: string): unknown => expect.stringContaining(text);

/** For a machine that has much else to do. */
const patience = { timeout: 30_000 };

const canary = 'canary-of-the-desk';
const allowed = { allow_all: true, allowed_repos: [], allowed_branches: [] };
let folder: string;
let database: Database;
let desk: HookDesk | null;
let events: HookEvent[];
let nowMs: number;
let worlds = 0;
let serverMark: string;
let drv: DrvPath;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eka-ci-desk-test-'));
  database = await openWarmDatabase({ path: join(folder, 'test.db'), durability: 'process-death' });
  serverMark = `desk-${process.pid}-${++worlds}`;
  [events, nowMs, desk] = [[], 10_000, null];
  drv = newPath('hello-2.12');
  await database.derivations.save([newNode([], { path: drv })]);
  const logFile = 'ab/build.1.log';
  mkdirSync(join(folder, 'logs/ab'), { recursive: true });
  writeFileSync(join(folder, 'logs', logFile), 'what the build said\n');
  await database.builds.recordTransitions([
    step(drv, null, 'queued'),
    step(drv, 'queued', 'buildable'),
    step(drv, 'buildable', 'building'),
    step(drv, 'building', 'succeeded', { cause: 'built', logFile }),
  ]);
});
afterEach(async () => {
  await desk?.stop();
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

const hook = (script: string, more: Partial<ConfiguredHook> = {}): ConfiguredHook => ({
  id: 'notify',
  command: ['sh', '-c', script.replaceAll('$', '$$$$')],
  credentials: { kind: 'none' },
  permissions: allowed,
  on: ['success'],
  timeoutMs: 60_000,
  ...more,
});

const noCredentials: Pick<Credentials, 'load'> = {
  load: async () => ({ values: new Map([['TOKEN', new Secret(canary)]]), warnings: [], leaseMs: null }),
};

const open = async (
  hooks: readonly ConfiguredHook[],
  more: Partial<HookDeskDeps> = {},
): Promise<HookDesk> => {
  desk = createHookDesk({
    database,
    hooks,
    credentials: noCredentials,
    logs: { folder: join(folder, 'logs') },
    mask: createSecretMask([canary]),
    run: { env: { PATH: process.env['PATH'] ?? '' }, killGraceMs: 200 },
    serverMark,
    clock: () => nowMs,
    onEvent: (event) => events.push(event),
    stopGraceMs: 0,
    ...more,
  });
  await desk.start();
  return desk;
};

const wanted = (more: Partial<NewHookRun> = {}): NewHookRun => ({
  ...{ hook: 'notify', drv, attempt: 1, buildState: 'succeeded', repository: 'owner/set', branch: 'main' },
  ...{ job: 'packages', commitSha: 'c'.repeat(40) as CommitSha, changeId: 'c1' },
  ...more,
});

const runs = () => database.hookRuns.of(drv);
const settled = async (count = 1): Promise<void> => {
  const ended = async () => (await runs()).filter(({ finishedAtMs }) => finishedAtMs !== null).length;
  await expect.poll(ended, patience).toBe(count);
};
const logOf = (id = 'notify', attempt = 1): string =>
  readFileSync(join(folder, 'logs', hookLogFileOf(drv, attempt, id)), 'utf8');

/** As a judgement hands it on, in one transaction with its verdict. */
const publish = async (jobs: Publication['jobs'], repository = 'owner/set'): Promise<void> => {
  await database.changes.save(queuedChange('c1', { repository }));
  await database.changes.claimNext({ owner: 'x', nowMs: 1, untilMs: 9e12 });
  const place = { repository: 'owner/set', branch: 'main', isOnBranch: true };
  const publications = await writePublication({ schemaVersion: 1, commit: 'c0ffee', place, jobs });
  await database.changes.finish({ id: 'c1', owner: 'x' }, judgedResult({ publications }), 5);
};

const job = (builds: Publication['jobs'][number]['builds'], hooks: readonly string[]) => ({
  ...{ name: 'packages', caches: [], roots: [] },
  builds,
  hooks,
});

describe('what a judgement hands on', () => {
  it('is what the hook is told, with the log of the build', async () => {
    const script =
      'echo "$DRV_PATH $OUT_PATHS $EKA_JOB_NAME $EKA_IS_FOD $EKA_SYSTEM $EKA_PNAME $EKA_COMMIT_SHA"; cat "$EKA_BUILD_LOG_PATH"; echo "$TOKEN"';
    await publish([job([{ drv, attempt: 1, state: 'succeeded', fixedOutput: false }], ['notify'])]);
    await open([hook(script)]);
    await settled();
    expect(logOf()).toBe(
      `${drv} ${drv.slice(0, -4)} packages false x86_64-linux hello c0ffee\nwhat the build said\n[redacted]\n`,
    );
    expect(await runs()).toMatchObject([
      { state: 'succeeded', exitStatus: 0, message: null, changeId: 'c1' },
    ]);
    expect(await database.publications.waiting('hooks', 10)).toEqual([]);
  });

  it('runs what its occasions say, once for each build however often it is handed on', async () => {
    const other = newPath('source');
    const failed = newPath('broken');
    await database.derivations.save([
      newNode([], { path: other, fixedOutput: true }),
      newNode([], { path: failed }),
    ]);
    const builds = [
      { drv, attempt: 1, state: 'succeeded', fixedOutput: false },
      { drv: other, attempt: 2, state: 'succeeded', fixedOutput: true },
      { drv: failed, attempt: 3, state: 'failed', fixedOutput: false },
    ] as const;
    await publish([job(builds, ['all', 'fod', 'bad']), { ...job(builds, ['all', 'gone']), name: 'again' }]);
    const hooks = [
      hook('true', { id: 'all', on: ['success', 'failure', 'fod'] }),
      hook('test "$EKA_IS_FOD" = true', { id: 'fod', on: ['fod'] }),
      hook('test -z "$OUT_PATHS"', { id: 'bad', on: ['failure'] }),
    ];
    await open(hooks);
    const all = async () =>
      (await Promise.all([drv, other, failed].map((one) => database.hookRuns.of(one)))).flat();
    await expect
      .poll(async () => (await all()).map(({ state }) => state), patience)
      .toEqual(Array(5).fill('succeeded'));
    expect((await all()).map((run) => `${run.hook} ${run.attempt} ${run.job}`).toSorted()).toEqual([
      'all 1 packages',
      'all 2 packages',
      'all 3 packages',
      'bad 3 packages',
      'fod 2 packages',
    ]);
    await database.hookRuns.want([wanted({ hook: 'all' })], nowMs);
    expect(await all()).toHaveLength(5);
  });

  it.each(['gcp', 'azure'] as const)(
    'comes with what a machine of %s is given, from ekaci.toml on',
    async (cloud) => {
      const state = { token: `${canary}-${cloud}` };
      const starting = { gcp: startGcpDouble, azure: startAzureDouble } as const;
      const double = await starting[cloud](state);
      const nowhere = 'http://127.0.0.1:1/';
      const metadata = { ec2: nowhere, ecs: nowhere, gcp: nowhere, azure: nowhere, [cloud]: double.url };
      const script = `printf %s "$$GOOGLE_OAUTH_ACCESS_TOKEN,$$AZURE_ACCESS_TOKEN" > ${folder}/told`;
      const toml = `[[hooks]]\nid = "notify"\ncommand = ["sh", "-c", ${JSON.stringify(script)}]\ncredentials = "instance-metadata"\n`;
      try {
        const { hooks } = (await loadValid({ toml })).config;
        await database.hookRuns.want([wanted()], nowMs);
        const credentials = createCredentials(testHost({}, { metadata: { ...metadata, timeoutMs: 20_000 } }));
        await open(
          hooks.map(({ timeout_seconds: seconds, ...one }) => ({ ...one, timeoutMs: seconds * 1000 })),
          { credentials },
        );
        await settled();
        expect(await runs()).toMatchObject([{ state: 'succeeded' }]);
        const [google = '', azure = ''] = readFileSync(join(folder, 'told'), 'utf8').split(',');
        expect({ gcp: google, azure }).toEqual({ gcp: '', azure: '', [cloud]: state.token });
      } finally {
        await double.close();
      }
    },
  );

  it('is not of a place that the hook may not be used at by now', async () => {
    await database.hookRuns.want([wanted({ branch: 'pull/7' })], nowMs);
    const permissions = { allow_all: false, allowed_repos: ['owner/*'], allowed_branches: ['main'] };
    await open([hook('true', { permissions })]);
    await settled();
    expect(await runs()).toMatchObject([{ state: 'not-started', logFile: null }]);
    expect((await runs())[0]?.message).toContain('pull/7 of owner/set');
  });

  it('goes by the name that the repository has now, not by the one that it had when it was judged', async () => {
    const host = 'forge.example';
    const see = (repositoryId: number, name: string) =>
      database.repositories.seen({ host, repositoryId, name, oldName: null, atMs: 1 });
    const permissions = { allow_all: false, allowed_repos: ['owner/set'], allowed_branches: [] };
    const hooks = [hook('true', { permissions }), hook('true', { id: 'all' })];
    await see(1, 'owner/set');
    await database.changes.save(queuedChange('c1', { repository: `${host}/owner/set` }));
    await database.hookRuns.want([wanted(), wanted({ hook: 'all' })], nowMs);
    await see(1, 'owner/elsewhere');
    await open(hooks);
    await settled(2);
    const found = async () =>
      (await runs()).map((one) => `${one.hook} ${one.attempt} ${one.repository} ${one.state}`).toSorted();
    const first = ['all 1 owner/elsewhere succeeded', 'notify 1 owner/elsewhere not-started'];
    expect(await found()).toEqual(first);
    // Whoever has the name by now is another one, and nothing runs for what nobody can see.
    await see(2, 'owner/elsewhere');
    await database.hookRuns.want([wanted({ hook: 'all', attempt: 2 })], nowMs);
    desk?.wake();
    await settled(3);
    expect(await found()).toContain('all 2 #1/set-aside not-started');
  });

  it('is not wanted for a place that was renamed before it was taken', async () => {
    const host = 'forge.example';
    const see = (name: string) =>
      database.repositories.seen({ host, repositoryId: 1, name, oldName: null, atMs: 1 });
    await see('owner/set');
    await publish(
      [job([{ drv, attempt: 1, state: 'succeeded', fixedOutput: false }], ['notify', 'new'])],
      `${host}/owner/set`,
    );
    await see('owner/new');
    const only = (name: string) => ({ allow_all: false, allowed_repos: [name], allowed_branches: [] });
    await open([
      hook('true', { permissions: only('owner/set') }),
      hook('true', { id: 'new', permissions: only('owner/new') }),
    ]);
    await settled();
    expect((await runs()).map((one) => `${one.hook} ${one.repository}`)).toEqual(['new owner/new']);
  });

  it('is given up where the server knows no such hook any more', async () => {
    await database.hookRuns.want([wanted()], nowMs);
    await open([]);
    await settled();
    expect(await runs()).toMatchObject([{ state: 'not-started', message: containing('no such hook') }]);
  });
});

describe('the runs of hooks', () => {
  it('are so many at once and no more, and one that fails keeps no other', async () => {
    const count = 6;
    const running = join(folder, 'running');
    mkdirSync(running);
    const script = `touch ${running}/$$; ls ${running} | wc -l; sleep 0.2; rm ${running}/$$; exit 1`;
    await database.hookRuns.want(
      Array.from({ length: count }, (_, index) => wanted({ attempt: index + 1 })),
      nowMs,
    );
    await open([hook(script)], { slots: 2 });
    await settled(count);
    const most = Array.from({ length: count }, (_, index) => Number(logOf('notify', index + 1)));
    expect(Math.max(...most)).toBeLessThanOrEqual(2);
    expect((await runs()).map(({ state, exitStatus }) => [state, exitStatus])).toEqual(
      Array(count).fill(['failed', 1]),
    );
  });

  it('say what is wrong with the program, and go on', async () => {
    await database.hookRuns.want([wanted(), wanted({ hook: 'other' })], nowMs);
    await open([hook('', { command: ['/nowhere/x'] }), hook('true', { id: 'other' })]);
    await settled(2);
    expect(await runs()).toMatchObject([
      { hook: 'other', state: 'succeeded' },
      { hook: 'notify', state: 'not-started', message: containing('cannot start /nowhere/x') },
    ]);
  });

  it('wait for credentials that are not to be had for a while, and are given up for good reasons', async () => {
    let error: CredentialError | null = new CredentialError('CREDENTIAL_UNREACHABLE', 'vault is down');
    const load: Credentials['load'] = async (source, signal) => {
      if (error !== null) throw error;
      return noCredentials.load(source, signal);
    };
    await database.hookRuns.want([wanted()], nowMs);
    const opened = await open([hook('true')], { credentials: { load } });
    await expect
      .poll(async () => (await runs())[0], patience)
      .toMatchObject({ state: 'waiting', tries: 1, nextAtMs: 20_000 });
    opened.wake();
    nowMs = 20_000;
    opened.wake();
    await expect.poll(async () => (await runs())[0], patience).toMatchObject({ tries: 2, nextAtMs: 80_000 });
    // A clock that is set back does not keep it for longer than it was to wait.
    nowMs = -1e9;
    error = null;
    opened.wake();
    await settled();
    expect(await runs()).toMatchObject([{ state: 'succeeded', tries: 2 }]);
    error = new CredentialError('CREDENTIAL_VARIABLE_UNSET', 'X is not set');
    await database.hookRuns.want([wanted({ attempt: 2 })], nowMs);
    opened.wake();
    await settled(2);
    expect((await runs())[0]).toMatchObject({
      state: 'not-started',
      message: 'CREDENTIAL_VARIABLE_UNSET: X is not set',
    });
  });

  it('end with the server, and are not repeated; what waits waits for the next one', async () => {
    await database.hookRuns.want([wanted(), wanted({ attempt: 2 })], nowMs);
    const script = `echo run >> ${folder}/count; test -e ${folder}/again || exec sleep 300`;
    const first = await open([hook(script)], { slots: 1 });
    await expect.poll(() => existsSync(`${folder}/count`), patience).toBe(true);
    await first.stop();
    expect((await runs()).map(({ state }) => state)).toEqual(['waiting', 'interrupted']);
    writeFileSync(`${folder}/again`, '');
    await open([hook(script)], { slots: 1 });
    await settled(2);
    expect((await runs()).map(({ state }) => state)).toEqual(['succeeded', 'interrupted']);
    expect(readFileSync(`${folder}/count`, 'utf8')).toBe('run\nrun\n');
  });

  it('of a server that was killed are interrupted, with all that ran of them, and not repeated', async () => {
    await database.hookRuns.want([wanted()], nowMs);
    const [run] = await database.hookRuns.due(nowMs, 1);
    await database.hookRuns.begin(run?.id ?? 0, { logFile: 'x', atMs: nowMs });
    const env = { PATH: process.env['PATH'] ?? '', [markName]: `${serverMark}.${run?.id}` };
    const orphan = await startChild({ command: 'sleep', args: ['300'], env });
    const others = await startChild({
      command: 'sleep',
      args: ['300'],
      env: { ...env, [markName]: 'other.1' },
    });
    await open([hook('touch ran')]);
    await orphan.exited;
    expect(await findMarked({ name: markName, value: `${serverMark}.`, match: 'prefix' })).toEqual([]);
    expect(await findMarked({ name: markName, value: 'other.1' })).toEqual([others.pid]);
    others.end('SIGKILL');
    await others.exited;
    expect(await runs()).toMatchObject([{ state: 'interrupted', message: containing('not repeated') }]);
    expect(events).toMatchObject([
      { kind: 'taken-up', killed: 1 },
      { kind: 'ended', ending: { state: 'interrupted' } },
    ]);
  });

  it('go on when the database answers again', async () => {
    await database.hookRuns.want([wanted()], nowMs);
    let broken = true;
    const hookRuns: Database['hookRuns'] = {
      ...database.hookRuns,
      due: (...asked) => (broken ? Promise.reject(new Error('disk full')) : database.hookRuns.due(...asked)),
    };
    const opened = await open([hook('true')], { database: { ...database, hookRuns } });
    await expect.poll(() => events, patience).toMatchObject([{ kind: 'fault' }]);
    broken = false;
    opened.wake();
    await settled();
  });
});

describe('the audit of hooks', () => {
  it('is one record a run: who, what, for which build, and how it ended; no secret', async () => {
    const lines: { message: string; facts: unknown }[] = [];
    const say = (message: string, facts?: unknown): void => void lines.push({ message, facts });
    const log = createHookLog(
      { trace: say, debug: () => {}, info: say, warn: () => {}, error: say },
      { audit: true },
    );
    await database.hookRuns.want([wanted()], nowMs);
    await open([hook('echo "$TOKEN"; exit 3', { credentials: { kind: 'file', path: '/secrets' } })], {
      onEvent: log,
    });
    await settled();
    expect(lines).toMatchObject([
      {
        message: 'audit',
        facts: {
          ...{ audit: 'hook', hook: 'notify', repository: 'owner/set', branch: 'main', drv, attempt: 1 },
          ...{ outcome: 'failed', exitStatus: 3, printedBytes: canary.length + 1 },
          logSha256: createHash('sha256').update(logOf()).digest('hex'),
          credentials: { source: 'file', names: ['TOKEN'] },
        },
      },
    ]);
    expect(JSON.stringify(lines)).not.toContain(canary);
    expect(JSON.stringify(await runs())).not.toContain(canary);
    expect(logOf()).toBe('[redacted]\n');
  });
});
