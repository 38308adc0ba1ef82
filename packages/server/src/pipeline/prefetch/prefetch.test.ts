// What lock files lock, fetched into a real store before an evaluation, and lock files that are out for something else.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInputStore } from '@eka-ci/nix/locked-inputs/input-store';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createDestinationGuard, type DestinationGuard } from '../../config/destination-guard.ts';
import { createGitCli } from '../../git/git-cli/git-cli.ts';
import { serveGit } from '../../git/testing/serve-git.ts';
import { initTestRepository, useTestFolder } from '../../git/testing/test-repository.ts';
import { createPrefetch, type PrefetchLimits } from './prefetch.ts';
import { type LoopbackFiles, serveFiles } from './testing/loopback-files.ts';

const folder = useTestFolder();
const { signal } = new AbortController();
const git = createGitCli({ env: process.env });
let store: PrivateStore;
let files: LoopbackFiles;
/** By its path on the server. */
let served: Map<string, Uint8Array>;

beforeEach(async () => {
  store = await createPrivateStore();
  served = new Map();
  files = await serveFiles((request, response) => {
    const body = served.get(request.url ?? '');
    if (request.url === '/never') return;
    response.writeHead(body === undefined ? 404 : 200).end(body);
  });
});
afterEach(async () => {
  await files.close();
  await store.remove();
});

const nixStore = (...args: string[]): string =>
  execFileSync(store.nix.programs.store, args, {
    env: store.nix.env,
    encoding: 'utf8',
    stdio: 'pipe',
  }).trim();

/** Serves an archive of a folder with that file in it. @returns its hash, and where it would be in the store */
const serveArchive = (name: string, content: string) => {
  const tree = join(folder(), name, 'source');
  mkdirSync(tree, { recursive: true });
  writeFileSync(join(tree, 'default.nix'), content);
  execFileSync('tar', ['-czf', join(folder(), `${name}.tgz`), '-C', join(tree, '..'), 'source']);
  served.set(`/${name}.tgz`, readFileSync(join(folder(), `${name}.tgz`)));
  const storePath = nixStore('--add-fixed', '--recursive', 'sha256', tree);
  const hash = nixStore('--query', '--hash', storePath);
  nixStore('--delete', '--ignore-liveness', storePath);
  return { storePath, hash, url: `${files.origin}/${name}.tgz` };
};

const pinsOf = (pins: Readonly<Record<string, { url: string; hash: string }>>): string =>
  JSON.stringify({
    version: 5,
    pins: Object.fromEntries(Object.entries(pins).map(([name, pin]) => [name, { type: 'Tarball', ...pin }])),
  });

/** Commits the files, and asks for what they lock. */
const open = async (tree: Parameters<ReturnType<typeof initTestRepository>['commit']>[1]) => {
  const repository = initTestRepository(join(folder(), 'set'));
  repository.commit('one', tree);
  const mirror = await git.openMirror(
    { kind: 'local', path: repository.path },
    join(folder(), 'mirror.git'),
    signal,
  );
  const rootsDir = join(folder(), 'roots');
  const request = {
    mirror,
    tree: repository.treeOf('HEAD'),
    rootsDir,
    sandbox: 'preferred' as const,
  };
  return (guard: DestinationGuard = files.guard, limits: Partial<PrefetchLimits> = {}) => {
    const queries = (asking: { readonly signal: AbortSignal }) => createStoreQueries(store.nix, asking);
    const prefetch = createPrefetch({
      guard,
      ...{ storeDir: store.nix.storeDir, git },
      inputs: createInputStore(store.nix),
      queries,
      limits,
    });
    return { run: (asking = signal) => prefetch.prefetch(request, asking) };
  };
};

const isThere = (storePath: string): boolean =>
  nixStore('--check-validity', '--print-invalid', storePath) === '';

/** By a root of this test: looking for all roots would look at every process of the machine. */
const isKept = (storePath: string): boolean => {
  const rootsDir = join(folder(), 'roots');
  const links = existsSync(rootsDir) ? readdirSync(rootsDir) : [];
  return links.some((link) => nixStore('--query', '--references', join(rootsDir, link)).includes(storePath));
};

it('fetches what the store lacks, once for all who ask, and keeps it from being collected', async () => {
  const [one, two] = [serveArchive('one', '1'), serveArchive('two', '2')];
  const prefetching = await open({ 'npins/sources.json': pinsOf({ one, two, again: one }) });
  const { run } = prefetching();
  expect(await Promise.all([run(), run()])).toEqual([[], []]);
  expect(files.seen.map(({ path }) => path).toSorted()).toEqual(['/one.tgz', '/two.tgz']);
  expect([one, two].map(({ storePath }) => isThere(storePath))).toEqual([true, true]);
  expect(isKept(one.storePath)).toBe(true);
  expect(await run()).toEqual([]);
  expect(files.seen).toHaveLength(2);
});

it('says what it could not fetch, and fetches the rest', async () => {
  const [good, other] = [serveArchive('good', 'good'), serveArchive('other', 'other')];
  const prefetching = await open({
    'npins/sources.json': pinsOf({
      good,
      changed: { url: good.url, hash: other.hash },
      gone: { url: `${files.origin}/none.tgz`, hash: `sha256-${'A'.repeat(43)}=` },
    }),
    'flake.lock': '{ "version": 7 }',
  });
  const told = await prefetching().run();
  expect(told).toEqual([
    'flake.lock: nothing of it is fetched before the evaluation, for it has not the form of a flake.lock.',
    expect.stringMatching(
      /"changed" was not fetched.*: its content is not what was locked: its hash is sha256/,
    ),
    'The locked input "gone" was not fetched before the evaluation: the server answered 404.',
  ]);
  expect(isThere(good.storePath)).toBe(true);
});

const hashOf = (index: number): string =>
  Buffer.alloc(32, index % 251)
    .fill(index >> 8, 1, 2)
    .fill(index & 255, 0, 1)
    .toString('hex');

it('asks nobody who is not public, whatever a lock file says', async () => {
  const inside = [
    files.origin,
    files.origin.replace('127.0.0.1', 'localhost'),
    'http://169.254.169.254',
    'file:///etc',
    'git+file:///etc',
    'http://2130706433',
    '/etc/passwd',
    '--option',
  ];
  const prefetching = await open({
    'npins/sources.json': pinsOf(
      Object.fromEntries(inside.map((url, index) => [`p${index}`, { url, hash: hashOf(index) }])),
    ),
  });
  const told = await prefetching(createDestinationGuard({ allowPrivate: false })).run();
  expect(told).toHaveLength(inside.length);
  for (const sentence of told) expect(sentence).toMatch(/leads to no public http or https server\.$/);
  expect(files.seen).toEqual([]);
});

it('has bounds: of inputs, of sentences, of size and of time', async () => {
  const many = Object.fromEntries(
    Array.from({ length: 3000 }, (_, index) => [
      `p${index}`,
      { url: 'http://10.0.0.1/', hash: hashOf(index) },
    ]),
  );
  const never = Object.fromEntries(
    [1, 2, 3].map((index) => [`n${index}`, { url: `${files.origin}/never`, hash: hashOf(index) }]),
  );
  const crowd = await (await open({ 'npins/sources.json': pinsOf(many) }))().run();
  expect(crowd.length).toBeLessThan(15);
  expect(crowd[0]).toMatch(/^The lock files name 3000 inputs: only the first 500 are fetched\.$/);
  const late = await (await open({ 'npins/sources.json': pinsOf(never) }))(files.guard, {
    timeoutMs: 300,
  }).run();
  expect(late).toEqual(
    [1, 2, 3].map(
      (index) =>
        `The locked input "n${index}" was not fetched before the evaluation: not all was fetched in 0.3 s.`,
    ),
  );
  const big = await (
    await open({ 'npins/sources.json': ' '.repeat(3 * 1024 * 1024), 'flake.lock': { link: '/etc/passwd' } })
  )().run();
  expect(big).toEqual([]);
});

it('fetches no more for one tree than its inputs may have together', async () => {
  const [one, two, three] = [serveArchive('one', '1'), serveArchive('two', '2'), serveArchive('three', '3')];
  const prefetching = await open({ 'npins/sources.json': pinsOf({ one, two, three }) });
  const maxTotalBytes = Math.floor((served.get('/one.tgz')?.length ?? 0) * 1.5);
  const told = await prefetching(files.guard, { atOnce: 1, maxTotalBytes }).run();
  expect(told).toEqual(
    ['two', 'three'].map(
      (name) =>
        `The locked input "${name}" was not fetched before the evaluation: all inputs together are larger than 0 MiB.`,
    ),
  );
  expect(isThere(one.storePath)).toBe(true);
  // Once all is spent, nobody else is asked.
  expect(files.seen.map(({ path }) => path)).toEqual(['/one.tgz', '/two.tgz']);
});

it('ends with its caller, and leaves the way to others', async () => {
  const pin = { url: `${files.origin}/never`, hash: hashOf(1) };
  const prefetching = await open({ 'npins/sources.json': pinsOf({ pin }) });
  const { run } = prefetching();
  const waiting = { timeout: 30_000 };
  const [one, other] = [new AbortController(), new AbortController()];
  const first = run(one.signal);
  first.catch(() => {});
  await expect.poll(() => files.seen.length, waiting).toBe(1);
  const second = run(other.signal);
  second.catch(() => {});
  one.abort(new Error('ended'));
  await expect(first).rejects.toThrow('ended');
  // Whoever waited for the first goes on by itself.
  await expect.poll(() => files.seen.length, waiting).toBe(2);
  other.abort(new Error('so does this'));
  await expect(second).rejects.toThrow('so does this');
});

it('fetches a commit of a git repository, and none that is private or not what was locked', async () => {
  const dep = initTestRepository(join(folder(), 'dep'));
  dep.commit('one', { 'flake.nix': '{ outputs = _: { }; }', file: 'text' });
  const rev = dep.git('rev-parse', 'HEAD');
  const tree = join(folder(), 'dep-tree', 'source');
  mkdirSync(tree, { recursive: true });
  writeFileSync(join(tree, 'flake.nix'), '{ outputs = _: { }; }');
  writeFileSync(join(tree, 'file'), 'text');
  const storePath = nixStore('--add-fixed', '--recursive', 'sha256', tree);
  const narHash = nixStore('--query', '--hash', storePath);
  nixStore('--delete', '--ignore-liveness', storePath);
  const served = await serveGit(folder());
  const node = (url: string, hash: string) => ({
    locked: { type: 'git', url, rev, ref: 'refs/heads/main', narHash: hash, lastModified: 1, revCount: 1 },
  });
  const url = `${served.origin}/dep/.git`;
  const nodes = {
    root: {},
    inside: node('https://localhost/dep', `sha256:${hashOf(1)}`),
    other: node(url, `sha256:${hashOf(2)}`),
    odd: node(`${served.origin}/de\\p`, `sha256:${hashOf(3)}`),
    dep: node(url, narHash),
    modules: { locked: { ...node(url, narHash).locked, lfs: true } },
  };
  const prefetching = await open({ 'flake.lock': JSON.stringify({ version: 7, root: 'root', nodes }) });
  const strict = createDestinationGuard({ allowPrivate: false });
  const guard: DestinationGuard = {
    check: (asked, signalOf) =>
      asked.startsWith(served.origin)
        ? Promise.resolve({ kind: 'allowed', addresses: ['127.0.0.1'] })
        : strict.check(asked, signalOf),
  };
  try {
    const poor = await prefetching(guard, { atOnce: 1, maxTotalBytes: 10 }).run();
    expect(poor.slice(2)).toEqual([
      expect.stringMatching(/"other" was not fetched.*: its content is not what was locked\.$/),
      expect.stringMatching(/"odd" was not fetched.*: all inputs together are larger than 0 MiB\.$/),
      expect.stringMatching(/"dep" was not fetched.*: all inputs together are larger than 0 MiB\.$/),
    ]);
    expect(await prefetching(guard).run()).toEqual([
      expect.stringMatching(/^flake\.lock: "modules" is of the type git, as it stands there/),
      'The locked input "inside" was not fetched before the evaluation: its URL leads to no public http or https server.',
      'The locked input "other" was not fetched before the evaluation: its content is not what was locked.',
      'The locked input "odd" was not fetched before the evaluation: git could not fetch it (GIT_URL_INVALID).',
    ]);
    expect(isThere(storePath)).toBe(true);
  } finally {
    await served.close();
  }
});
