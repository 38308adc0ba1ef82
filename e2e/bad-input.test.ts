// What a server meets when the machine or its users do their worst: it says so, loses nothing, and goes on.
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { runChild } from '@eka-ci/process';
import { expect, it, onTestFinished } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository, type Files, type Repository } from './testing/repository.ts';
import { configureServer, databasePath, startServer, type TestServer, until } from './testing/server.ts';
import { createSleepySet, longBranch } from './testing/sleepy-set.ts';

const smallSet: Files = {
  '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
  'default.nix': '{ }\n',
};

const createTestWorld = async (): Promise<World> => {
  const world = await createWorld();
  onTestFinished(() => world.remove());
  return world;
};

const start = async (world: World, repository: Repository): Promise<TestServer> => {
  const server = await startServer(world, await configureServer(world, repository.path));
  onTestFinished(() => server.kill());
  return server;
};

const waitFor = (server: TestServer, branch: string, isSo: (state: string) => boolean) =>
  until(async () => (await server.changes()).find((one) => one.branch === branch && isSo(one.state)) ?? null);

const waitForLog = (server: TestServer, words: RegExp) =>
  until(async () => (words.test(server.log()) ? true : null));

it('takes in 500 branches at once, each once, and lets go of them when they are gone', {
  timeout: 240_000,
}, async () => {
  const world = await createTestWorld();
  const repository = await createRepository(join(world.folder, 'many'), smallSet);
  await repository.branch('branch-0', { 'default.nix': '{ a = throw "none"; }\n' });
  const head = await repository.git('rev-parse', 'branch-0');
  const names = Array.from({ length: 499 }, (_, number) => `branch-${number + 1}`);
  const updateRefs = async (lineOf: (name: string) => string): Promise<void> => {
    const stdin = names.map((name) => `${lineOf(name)}\n`).join('');
    const args = ['-C', repository.path, 'update-ref', '--stdin'];
    expect(await runChild({ command: 'git', args, env: world.env, stdin })).toMatchObject({ code: 0 });
  };
  await updateRefs((name) => `create refs/heads/${name} ${head}`);
  const server = await start(world, repository);
  const listAll = async (state: string) => {
    const found: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const more: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const page = (await server.get(`/v1/prs?limit=100&state=${state}${more}`)) as {
        readonly changes: readonly { readonly number: number }[];
        readonly nextCursor: string | null;
      };
      found.push(...page.changes.map(({ number }) => String(number)));
      cursor = page.nextCursor;
    }
    return found;
  };
  const known = await until(async () => {
    const numbers = (await Promise.all(['queued', 'judging', 'judged'].map(listAll))).flat();
    return numbers.length >= 500 ? numbers : null;
  });
  expect(new Set(known)).toEqual(new Set(Array.from({ length: 500 }, (_, number) => String(number + 1))));
  await updateRefs((name) => `delete refs/heads/${name}`);
  await until(async () => ((await listAll('closed')).length === 499 ? true : null));
  const last = await until(async () => {
    const change = await server.change(1);
    return change.state === 'judged' ? change : null;
  });
  expect(last).toMatchObject({ branch: 'branch-0', headSha: head });
  expect(await listAll('queued')).toEqual([]);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

it('stops building what a deleted branch wanted, and ends at once at the second SIGTERM', {
  timeout: 240_000,
}, async () => {
  const world = await createTestWorld();
  const { repository } = await createSleepySet(world.folder, longBranch);
  const server = await start(world, repository);
  const active = async (): Promise<number> => {
    const status = (await server.get('/v1/status')) as { readonly builds: { readonly active: number } };
    return status.builds.active;
  };
  const isBuilding = () => until(async () => ((await active()) > 0 ? true : null));
  await isBuilding();
  await repository.git('branch', '--quiet', '-D', 'long');
  await waitFor(server, 'long', (state) => state === 'closed');
  await until(async () => ((await active()) === 0 ? true : null));

  await repository.branch('again', { 'sleep.nix': '"61"' });
  await isBuilding();
  const [ended] = await Promise.all([server.stop(), server.stop()]);
  expect(ended.signal).toBeNull();
  const next = await start(world, repository);
  await waitFor(next, 'again', (state) => state === 'judging');
});

/** Null where this user may not mount. */
const mountSmallDisk = async (at: string): Promise<(() => void) | null> => {
  await mkdir(at, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=0700', 'tmpfs', at], { stdio: 'ignore' });
    return () => execFileSync('umount', ['-l', at]);
  } catch {
    return null;
  }
};

const fill = async (folder: string): Promise<string> => {
  const file = join(folder, 'filler');
  // Page by page to the last one: a file that does not fit is cut, and that is an error too.
  const { bavail, bsize } = await statfs(folder);
  await writeFile(file, Buffer.alloc((bavail + 1) * bsize)).catch(() => {});
  return file;
};

it('outlives a full disk and a locked database: it says what to do, and takes in what it could not', {
  timeout: 240_000,
}, async (test) => {
  const world = await createTestWorld();
  const state = join(world.folder, 'state');
  const unmount = await mountSmallDisk(state);
  if (unmount === null) return test.skip('mounting needs more rights than this test has');
  onTestFinished(unmount);
  const repository = await createRepository(join(world.folder, 'small'), smallSet);
  await repository.branch('before', { 'default.nix': '{ a = throw "one"; }\n' });
  const configFile = await configureServer(world, repository.path);
  const text = await readFile(configFile, 'utf8');
  await writeFile(configFile, text.replace('min_free_mib = 64', 'min_free_mib = 0'));
  const server = await startServer(world, configFile);
  onTestFinished(() => server.kill());
  const isJudged = (one: string): boolean => one === 'judged';
  await waitFor(server, 'before', isJudged);

  const filler = await fill(state);
  await repository.branch('while-full', { 'default.nix': '{ a = throw "two"; }\n' });
  await waitForLog(server, /DATABASE_FULL: [^"]*the disk is full: free space/);
  expect(await server.changes()).toMatchObject([{ branch: 'before', state: 'judged' }]);
  await rm(filler);
  await waitFor(server, 'while-full', isJudged);

  // The server may be writing.
  const other = new DatabaseSync(databasePath(world), { timeout: 10_000 });
  onTestFinished(() => (other.isOpen ? other.close() : undefined));
  other.exec('begin immediate');
  await repository.branch('while-locked', { 'default.nix': '{ a = throw "three"; }\n' });
  await waitForLog(server, /DATABASE_LOCKED: [^"]*another process is using it/);
  other.exec('rollback');
  await waitFor(server, 'while-locked', isJudged);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});
