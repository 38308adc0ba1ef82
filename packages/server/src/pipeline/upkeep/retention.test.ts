// What a sweep removes of a real tree, and what it must leave: fresh things, live ones, what others put there, and all of
// it when the clock lies.
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { CommitSha, DrvPath, StorePath } from '@eka-ci/core/ids';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database, StoredChange, WantedPush } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { createWorkFolder } from '../../lib/work-folder.ts';
import { mirrorNameOf } from '../repository-mirror.ts';
import { type Retention, type RetentionDeps, type RetentionEvent, startRetention } from './retention.ts';
import { catchUpMs, createSweepMemory, sweepTime } from './retention-clock.ts';

const dayMs = 24 * 60 * 60_000;
const hourMs = 60 * 60_000;
const start = Date.UTC(2026, 5, 1);

let folder: string;
let database: Database;
let wallMs: number;
let upMs: number;
let live: Set<string>;
let inUse: Set<string>;
let events: RetentionEvent[];
let running: Retention[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eka-ci-retention-'));
  [wallMs, upMs] = [start, 0];
  live = new Set();
  inUse = new Set();
  events = [];
  running = [];
  await Promise.all(['logs', 'roots', 'outputs', 'mirrors', 'tmp'].map((name) => mkdir(join(folder, name))));
  // There was a sweep an hour ago.
  await createSweepMemory(memory()).write(start - hourMs);
});
afterEach(async () => {
  await Promise.all(running.map((one) => one.stop()));
  await rm(folder, { recursive: true, force: true });
});
beforeAll(async () => {
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterAll(() => database.close());

/** It waits, for a repository that is not configured. */
const waiting: StoredChange = {
  id: 'waiting',
  kind: 'branch',
  repository: 'gone/set',
  number: 1,
  branch: 'topic',
  baseBranch: null,
  base: 'b'.repeat(40) as CommitSha,
  head: 'a'.repeat(40) as CommitSha,
  judgedTree: null,
  title: 'a change',
  state: 'queued',
  createdAtMs: start,
  updatedAtMs: start,
  conclusion: null,
  fault: null,
  faults: 0,
  retryAtMs: null,
  approved: false,
  summaryJson: null,
  markdown: null,
  requestJson: null,
};

const memory = (): string => join(folder, 'last-sweep');

const served = { name: 'demo/set', url: '/demo' };

const depsOf = (more: Partial<RetentionDeps> = {}): RetentionDeps => ({
  database,
  folders: {
    logs: join(folder, 'logs'),
    roots: join(folder, 'roots'),
    outputRoots: join(folder, 'outputs'),
    mirrors: join(folder, 'mirrors'),
    temporary: join(folder, 'tmp'),
    checks: join(folder, 'checks'),
  },
  logMaxAgeMs: 90 * dayMs,
  rootMaxAgeMs: 14 * dayMs,
  liveLogs: () => live,
  isRootInUse: (name) => inUse.has(name),
  caches: ['main'],
  repositories: { names: new Set([served.name]), mirrors: new Set([mirrorNameOf(served)]) },
  memory: createSweepMemory(memory()),
  clock: () => wallMs,
  monotonic: () => upMs,
  onEvent: (event) => events.push(event),
  intervalMs: 3_600_000,
  ...more,
});

/** A server that starts now, after its first sweep. */
const startSweeping = async (more?: Partial<RetentionDeps>): Promise<Retention> => {
  const retention = startRetention(depsOf(more));
  running.push(retention);
  await retention.sweep();
  return retention;
};

/** Time goes by, and the sweep of its end is done. */
const pass = async (retention: Retention, ms: number): Promise<void> => {
  [wallMs, upMs] = [wallMs + ms, upMs + ms];
  await retention.sweep();
};

const put = async (path: string, modifiedMs: number, text = 'text'): Promise<string> => {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  await utimes(file, modifiedMs / 1000, modifiedMs / 1000);
  return file;
};

const putFolder = async (path: string, modifiedMs: number): Promise<void> => {
  await put(join(path, 'inside'), modifiedMs);
  await utimes(join(folder, path), modifiedMs / 1000, modifiedMs / 1000);
};

const isThere = (path: string): Promise<boolean> =>
  lstat(join(folder, path)).then(
    () => true,
    () => false,
  );

const thereOf = async (paths: readonly string[]): Promise<string[]> => {
  const there = await Promise.all(paths.map(isThere));
  return paths.filter((_, at) => there[at]);
};

const logName = (letter: string): string => `logs/ab/${letter.repeat(30)}-hello-1.0.1.log`;
const faults = (): unknown[] => events.filter(({ kind }) => kind === 'fault');

describe('logs', () => {
  it('go when they are older than they are kept, unless they are written now', async () => {
    const [old, fresh, written] = [logName('a'), logName('b'), logName('c')];
    await put(old, start - 91 * dayMs, 'twelve bytes');
    await put(fresh, start - 89 * dayMs);
    await put(written, start - 91 * dayMs);
    live.add(written.slice('logs/'.length));
    const retention = await startSweeping();
    expect(await thereOf([old, fresh, written])).toEqual([fresh, written]);
    expect(retention.totals()).toMatchObject({ logs: 1, logBytes: 12, sweeps: 1, faults: 0 });
    await pass(retention, 3 * dayMs);
    expect(await thereOf([old, fresh, written])).toEqual([written]);
  });

  it('leave no empty folder behind for long', async () => {
    await put(logName('a'), start - 91 * dayMs);
    const retention = await startSweeping();
    // It might be about to get another log.
    expect(await isThere('logs/ab')).toBe(true);
    await utimes(join(folder, 'logs/ab'), start / 1000, start / 1000);
    await pass(retention, 2 * hourMs);
    expect(await isThere('logs/ab')).toBe(false);
    expect(faults()).toEqual([]);
  });

  it('are the only thing that is removed, and no link is followed', async () => {
    const old = start - 1000 * dayMs;
    const outside = await put('outside/xy/precious.1.log', old);
    const named = `${'z'.repeat(30)}-precious-1.0.1.log`;
    const others = [
      'logs/ab/notes.txt',
      'logs/notes.1.log',
      `logs/abc/${named}`,
      `logs/ab/deeper/${named}`,
      `logs/AB/${named}`,
    ];
    for (const other of others) await put(other, old);
    await put(`outside/xy/${named}`, old);
    // A folder that leads out, a log that does, and the same one level deeper.
    await symlink(join(folder, 'outside/xy'), join(folder, 'logs/xy'));
    await symlink(outside, join(folder, logName('d')));
    await symlink(join(folder, 'outside'), join(folder, 'logs/ab/up'));
    await startSweeping();
    expect(await thereOf(others)).toEqual(others);
    expect(await readdir(join(folder, 'outside/xy'))).toHaveLength(2);
    expect(await readFile(outside, 'utf8')).toBe('text');
    expect(await thereOf(['logs/xy', logName('d'), 'logs/ab/up'])).toHaveLength(3);
    expect(faults()).toEqual([]);
  });

  it('are found where the log folder is a link of the operator, and missed in silence where there is none', async () => {
    await put(logName('a').replace('logs/', 'big-disk/'), start - 91 * dayMs);
    await put('big-disk/ab/fresh', start);
    await rm(join(folder, 'logs'), { recursive: true });
    await symlink(join(folder, 'big-disk'), join(folder, 'logs'));
    const retention = await startSweeping();
    expect(await readdir(join(folder, 'big-disk/ab'))).toEqual(['fresh']);
    await rm(join(folder, 'logs'));
    await rm(join(folder, 'mirrors'), { recursive: true });
    await pass(retention, hourMs);
    expect(faults()).toEqual([]);
  });
});

describe('folders of ours', () => {
  const names = { old: 'a'.repeat(40), used: 'b'.repeat(40), fresh: 'c'.repeat(40) };

  it('of roots go by their age, not while a judgement needs them', async () => {
    await putFolder(`roots/${names.old}`, start - 15 * dayMs);
    await putFolder(`roots/${names.used}`, start - 15 * dayMs);
    await putFolder(`roots/${names.fresh}`, start - 13 * dayMs);
    await putFolder('roots/somebody-elses', start - 15 * dayMs);
    await putFolder('outside', start - 15 * dayMs);
    await symlink(join(folder, 'outside'), join(folder, `roots/${'d'.repeat(40)}`));
    const output = 'outputs/0b6e2a30-7a52-4a0e-8f43-0d3d1f6f6c11';
    await putFolder(output, start - 15 * dayMs);
    inUse.add(names.used);
    const retention = await startSweeping();
    const left = ['somebody-elses', names.used, names.fresh, 'd'.repeat(40)];
    expect((await readdir(join(folder, 'roots'))).toSorted()).toEqual(left.toSorted());
    expect(await isThere(output)).toBe(false);
    expect(await isThere('outside/inside')).toBe(true);
    inUse.clear();
    await pass(retention, hourMs);
    expect(await isThere(`roots/${names.used}`)).toBe(false);
    expect(retention.totals()).toMatchObject({ roots: 2, outputRoots: 1 });
  });

  it('that a killed sweep had taken away are removed by the next', async () => {
    await putFolder(`roots/.removed-${names.old}`, start);
    await startSweeping();
    expect(await readdir(join(folder, 'roots'))).toEqual([]);
  });

  it('of mirrors stay while they are configured, used, or may be wanted', async () => {
    const [ours, idle, used] = [mirrorNameOf(served), `${'1'.repeat(32)}.git`, `${'2'.repeat(32)}.git`];
    for (const name of [ours, idle, used]) await putFolder(`mirrors/${name}`, start - 30 * dayMs);
    await put(`mirrors/${used}/FETCH_HEAD`, start - dayMs);
    await utimes(join(folder, 'mirrors', used), (start - 30 * dayMs) / 1000, (start - 30 * dayMs) / 1000);
    await database.changes.save(waiting);
    const retention = await startSweeping();
    expect(await readdir(join(folder, 'mirrors'))).toHaveLength(3);
    await database.changes.save({ ...waiting, state: 'judged', conclusion: 'success' });
    await pass(retention, hourMs);
    expect((await readdir(join(folder, 'mirrors'))).toSorted()).toEqual([ours, used].toSorted());
  });
});

describe('rows', () => {
  it('of deliveries that are long done go, and what is not done stays', async () => {
    const deliveries = ['done', 'waiting'].map((key) => ({ key, payload: '{}', receivedAtMs: start }));
    await database.deliveries.receive(deliveries);
    await database.deliveries.finish('done', start);
    const retention = await startSweeping();
    await pass(retention, 29 * dayMs);
    expect(await database.deliveries.receive(deliveries)).toEqual(['done', 'unfinished']);
    await pass(retention, 2 * dayMs);
    expect(await database.deliveries.receive(deliveries)).toEqual(['new', 'unfinished']);
    expect(retention.totals()).toMatchObject({ deliveries: 1 });
  });

  it('of revoked sessions and expired tokens go a month after nobody would believe them anyway', async () => {
    const { users } = database;
    const user = { host: 'github.com', id: 1 };
    await users.signIn({ ...user, login: 'alice', atMs: start, isListed: false });
    const token = { user, name: 'n', createdAtMs: start };
    await users.addToken({ ...token, id: 'ends', hash: 'a', expiresAtMs: start + dayMs }, 10);
    await users.addToken({ ...token, id: 'stays', hash: 'b', expiresAtMs: null }, 10);
    await users.revoke('session', start + dayMs);
    const retention = await startSweeping();
    await pass(retention, 30 * dayMs);
    expect(await users.tokensOf(user)).toHaveLength(2);
    expect(await users.revoke('session', start + dayMs)).toBe(false);
    await pass(retention, 2 * dayMs);
    expect(await users.tokensOf(user)).toMatchObject([{ id: 'stays' }]);
    expect(await users.revoke('session', start + dayMs)).toBe(true);
  });

  it('cannot keep the rest from being swept', async () => {
    await put(logName('a'), start - 91 * dayMs);
    const closed = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
    await closed.close();
    await startSweeping({ database: closed });
    expect(await isThere(logName('a'))).toBe(false);
    expect(faults()).toMatchObject([{ part: 'rows' }]);
  });
});

it('empties a disk that is too full to remember that', async () => {
  await put(logName('a'), start - 91 * dayMs);
  const write = (): Promise<void> => Promise.reject(new Error('ENOSPC: no space left on device'));
  const retention = await startSweeping({ memory: { read: () => Promise.resolve(start), write } });
  expect(await isThere(logName('a'))).toBe(false);
  await put(logName('b'), start - 89 * dayMs);
  await pass(retention, 2 * dayMs);
  expect(await isThere(logName('b'))).toBe(false);
  expect(faults()).toMatchObject([{ part: 'memory' }, { part: 'memory' }]);
});

it('sweeps the rest where one folder cannot be read', async () => {
  await rm(join(folder, 'roots'), { recursive: true });
  await put('roots', start);
  await put(logName('a'), start - 91 * dayMs);
  await startSweeping();
  expect(await isThere(logName('a'))).toBe(false);
  expect(faults()).toMatchObject([{ part: 'roots' }, { part: 'roots' }]);
});

describe('a clock that lies', () => {
  const fresh = (): Promise<string> => put(logName('f'), start - hourMs);

  it('by years ahead costs nothing that is fresh, and is pointed out', async () => {
    await fresh();
    const retention = await startSweeping();
    wallMs += 10 * 365 * dayMs;
    for (let sweep = 0; sweep < 24; sweep++) {
      await pass(retention, hourMs);
      expect(await isThere(logName('f'))).toBe(true);
    }
    expect(events.filter(({ kind }) => kind === 'clock-ahead').length).toBeGreaterThan(0);
    wallMs -= 10 * 365 * dayMs;
    await pass(retention, hourMs);
    expect(await isThere(logName('f'))).toBe(true);
  });

  it('costs as little where the server is started with it, also for the first time', async () => {
    await fresh();
    wallMs += 10 * 365 * dayMs;
    await startSweeping();
    await rm(memory());
    expect(await isThere(logName('f'))).toBe(true);
    await startSweeping();
    expect(await isThere(logName('f'))).toBe(true);
  });

  it('by years behind removes nothing, and nothing too early when it is put right', async () => {
    await fresh();
    const retention = await startSweeping();
    wallMs -= 10 * 365 * dayMs;
    await pass(retention, hourMs);
    wallMs += 10 * 365 * dayMs;
    await pass(retention, hourMs);
    expect(await isThere(logName('f'))).toBe(true);
  });

  it('is not believed after a memory that cannot be read, either', async () => {
    await fresh();
    await writeFile(memory(), 'not a number');
    wallMs += 10 * 365 * dayMs;
    await startSweeping();
    expect(await isThere(logName('f'))).toBe(true);
  });

  it('still lets old things go in the end', async () => {
    await fresh();
    const retention = await startSweeping({ logMaxAgeMs: 5 * dayMs });
    wallMs += 365 * dayMs;
    for (let sweep = 0; sweep < 3; sweep++) await pass(retention, hourMs);
    expect(await isThere(logName('f'))).toBe(true);
    for (let sweep = 0; sweep < 3; sweep++) await pass(retention, hourMs);
    expect(await isThere(logName('f'))).toBe(false);
  });

  it('never makes a sweep later than the machine says, nor faster than a day beside what passed', () => {
    const time = fc.integer({ min: 0, max: 4e12 });
    fc.assert(
      fc.property(
        fc.option(time),
        fc.option(time),
        time,
        fc.integer({ min: -1000, max: 1e9 }),
        (last, newest, at, elapsedMs) => {
          const sweepMs = sweepTime(last, newest, { wallMs: at, elapsedMs });
          expect(sweepMs).toBeLessThanOrEqual(at);
          const known = last ?? newest;
          if (known !== null) expect(sweepMs).toBeLessThanOrEqual(known + Math.max(0, elapsedMs) + catchUpMs);
        },
      ),
    );
  });
});

it('looks again, in time, for what was pushed, and lets go of what waits for a cache that is no more', async () => {
  const pushTo = (cache: string, name: string): WantedPush => ({
    cache,
    drv: `/nix/store/${name}.drv` as DrvPath,
    outputs: [`/nix/store/${name}` as StorePath],
    repository: 'demo/set',
    branch: 'main',
    changeId: null,
    publicationId: 1,
    priority: 0,
  });
  const pushes = [pushTo('main', 'pushed'), pushTo('main', 'waits'), pushTo('gone', 'waits')];
  await database.pushes.want(pushes, wallMs);
  const claim = { cache: 'main', owner: 'x', nowMs: wallMs, untilMs: wallMs + 1, limit: 1 };
  const [done] = await database.pushes.claim(claim);
  await database.pushes.settle([done?.id ?? 0], { state: 'pushed', fault: null, atMs: wallMs });
  const retention = await startSweeping();
  expect(await database.pushes.want(pushes, wallMs)).toBe(0);
  await pass(retention, 15 * dayMs);
  expect(await database.pushes.want(pushes, wallMs)).toBe(2);
  expect((await database.pushes.counts()).map(({ cache, waiting }) => [cache, waiting])).toEqual([
    ['gone', 1],
    ['main', 2],
  ]);
});

it('removes the copies of trees whose check was killed, and none that is still in use', async () => {
  const checks = join(folder, 'checks');
  const left = join(checks, 'check-left');
  await mkdir(left, { recursive: true });
  const inUse = await createWorkFolder('check-', checks);
  const [, namespace] = (await readFile(join(inUse.path, 'owner.pid'), 'utf8')).split(' ');
  // No process has this id: it is above the kernel's largest.
  await writeFile(join(left, 'owner.pid'), `999999999 ${namespace}\n`);
  const retention = await startSweeping();
  expect(await readdir(checks)).toEqual([basename(inUse.path)]);
  await retention.stop();
});

it('sweeps one at a time, and ends with the server', async () => {
  const retention = startRetention(depsOf());
  expect(retention.sweep()).toBe(retention.sweep());
  await retention.stop();
  await put(logName('a'), start - 91 * dayMs);
  await retention.sweep();
  expect(await isThere(logName('a'))).toBe(true);
});
