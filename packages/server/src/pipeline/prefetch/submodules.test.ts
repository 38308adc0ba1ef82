// Commits with submodules, fetched as real Nix fetches them, and such as nobody made for that.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createInputStore } from '@eka-ci/nix/locked-inputs/input-store';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createDestinationGuard, type DestinationGuard } from '../../config/destination-guard.ts';
import { createGitCli } from '../../git/git-cli/git-cli.ts';
import { type ServedGit, serveGit } from '../../git/testing/serve-git.ts';
import {
  initTestRepository,
  type TestFile,
  type TestRepository,
  useTestFolder,
} from '../../git/testing/test-repository.ts';
import { createPrefetch, type PrefetchLimits } from './prefetch.ts';

const { signal } = new AbortController();
const git = createGitCli({ env: process.env });
const folder = useTestFolder();
let store: PrivateStore;
let served: ServedGit;
beforeAll(async () => {
  store = await createPrivateStore();
});
afterAll(() => store.remove());
beforeEach(async () => {
  served = await serveGit(folder());
});
afterEach(() => served.close());

type Links = Readonly<Record<string, { readonly url: string; readonly rev: string }>>;

/** A commit of those files, with submodules. */
const commitLinks = (repository: TestRepository, files: Record<string, TestFile>, links: Links): string => {
  const sections = Object.entries(links).map(
    ([path, { url }], index) => `[submodule "s${index}"]\n\tpath = ${path}\n\turl = ${JSON.stringify(url)}\n`,
  );
  repository.commit('files', { ...files, '.gitmodules': sections.join('') });
  const lines = Object.entries(links).map(([path, { rev }]) => `160000 ${rev} 0\t${path}\n`);
  repository.gitWith(lines.join(''), 'update-index', '--index-info');
  repository.git('commit', '--quiet', '-m', 'linked');
  return repository.git('rev-parse', 'HEAD');
};

const newRepository = (name: string): TestRepository => initTestRepository(join(folder(), name));

const flakeLock = (nodes: Readonly<Record<string, { url: string; rev: string; narHash: string }>>): string =>
  JSON.stringify({
    ...{ version: 7, root: 'root' },
    nodes: Object.fromEntries([
      ['root', {}],
      ...Object.entries(nodes).map(([name, node]): [string, object] => {
        const known = { type: 'git', submodules: true, lastModified: 1, revCount: 1 };
        return [name, { locked: { ...known, ...node } }];
      }),
    ]),
  });

const unknownHash = `sha256-${'A'.repeat(43)}=`;

let sets = 0;
const prefetch = async (lock: string, limits: Partial<PrefetchLimits> = {}): Promise<readonly string[]> => {
  sets += 1;
  const set = initTestRepository(join(folder(), `set-${sets}`));
  set.commit('one', { 'flake.lock': lock });
  const mirror = await git.openMirror(
    { kind: 'local', path: set.path },
    join(folder(), `mirror-${sets}.git`),
    signal,
  );
  const strict = createDestinationGuard({ allowPrivate: false });
  const guard: DestinationGuard = {
    check: (url, asking) =>
      url.startsWith(served.origin)
        ? Promise.resolve({ kind: 'allowed', addresses: ['127.0.0.1'] })
        : strict.check(url, asking),
  };
  const { prefetch: run } = createPrefetch({
    ...{ guard, git, storeDir: store.nix.storeDir, limits },
    inputs: createInputStore(store.nix),
    queries: (asking) => createStoreQueries(store.nix, asking),
  });
  const place = { rootsDir: join(folder(), `roots-${sets}`), sandbox: 'preferred' as const };
  return run({ mirror, tree: set.treeOf('HEAD'), ...place }, signal);
};

const nixStore = (...args: string[]): string =>
  execFileSync(store.nix.programs.store, args, {
    env: store.nix.env,
    encoding: 'utf8',
    stdio: 'pipe',
  }).trim();

it('are put where Nix itself would have put them', { timeout: 60_000 }, async () => {
  const deep = newRepository('deep').commit('one', { deep: { executable: 'deep' }, link: { link: '../up' } });
  const small = commitLinks(
    newRepository('small'),
    { small: 'small', '.gitattributes': 'small export-ignore\n' },
    {
      'in/deep': { url: '../deep', rev: deep },
    },
  );
  const big = commitLinks(
    newRepository('big'),
    { big: 'big' },
    {
      small: { url: '../small', rev: small },
      'lib/a b/deep': { url: `${served.origin}/deep`, rev: deep },
    },
  );
  const url = `${served.origin}/big`;
  const asked = `builtins.fetchGit { url = ${JSON.stringify(url)}; rev = "${big}"; ref = "main"; submodules = true; }`;
  // Its server is in this process, which must not wait for it.
  const { stdout, stderr } = await runChild({
    command: store.nix.programs.instantiate,
    args: [
      '--eval',
      '--strict',
      '--json',
      '--read-write-mode',
      '--expr',
      `let x = ${asked}; in [ x.outPath x.narHash ]`,
    ],
    env: { ...store.nix.env, XDG_CACHE_HOME: join(folder(), 'cache'), HOME: folder() },
    timeoutMs: 50_000,
  });
  expect([stderr, stdout]).toEqual([expect.anything(), expect.stringMatching(/^\[/)]);
  const [path = '', narHash = ''] = JSON.parse(stdout) as string[];
  nixStore('--delete', '--ignore-liveness', path);
  expect(existsSync(path)).toBe(false);
  expect(await prefetch(flakeLock({ big: { url, rev: big, narHash } }))).toEqual([]);
  expect(nixStore('--query', '--hash', path)).toMatch(/^sha256:/);
  expect(readdirSync(join(path, 'lib', 'a b', 'deep')).toSorted()).toEqual(['deep', 'link']);
  // Over ssh it would be the same, by its hash: here there is nobody who answers on the web.
  const ssh = { url: 'ssh://git@localhost/big', rev: big, narHash: unknownHash };
  expect(await prefetch(flakeLock({ big: ssh }))).toEqual([
    'The locked input "big" was not fetched before the evaluation: it is locked over ssh, and over https its URL leads to no public http or https server.',
  ]);
});

it('lead nowhere but to servers that anybody may ask', { timeout: 60_000 }, async () => {
  const rev = 'c'.repeat(40);
  const victim = join(folder(), 'victim');
  const urls = [
    ...[`--upload-pack=touch ${victim}`, `ext::sh -c touch% ${victim}`, `-oProxyCommand=touch ${victim}`],
    ...[
      'file:///etc',
      '/etc',
      '../../../etc',
      'http://169.254.169.254/x',
      'git@localhost:x',
      'http://[::1]/x',
    ],
  ];
  const repository = newRepository('hostile');
  const hostile = urls.map((url) => {
    return { url: `${served.origin}/hostile`, rev: commitLinks(repository, {}, { 'a/b': { url, rev } }) };
  });
  const nodes = hostile.map((node, index): [string, typeof node & { narHash: string }] => [
    `h${index}`,
    { ...node, narHash: `sha256-${Buffer.alloc(32, index + 1).toString('base64')}` },
  ]);
  const told = await prefetch(flakeLock(Object.fromEntries(nodes)));
  expect(told).toHaveLength(urls.length);
  for (const sentence of told) {
    expect(sentence).toMatch(
      /: its submodule "a\/b" cannot be had: its URL leads to no public http or https server\.$/,
    );
  }
  expect(existsSync(victim)).toBe(false);
});

it('are as many and as deep as anybody needs, and no more', { timeout: 60_000 }, async () => {
  const own = `${served.origin}/chain`;
  const chain = newRepository('chain');
  let rev: string = chain.commit('end', { end: 'end' });
  for (let depth = 0; depth < 9; depth += 1) rev = commitLinks(chain, {}, { next: { url: '../chain', rev } });
  expect(await prefetch(flakeLock({ chain: { url: own, rev, narHash: unknownHash } }))).toEqual([
    expect.stringMatching(
      /: its submodule "next" cannot be had: submodules are more than 8 deep in each other\.$/,
    ),
  ]);
  const links = Array.from({ length: 300 }, (_, at): [string, Links[string]] => [
    `d/${at}`,
    { url: '../chain', rev },
  ]);
  const many = commitLinks(newRepository('many'), {}, Object.fromEntries(links));
  expect(
    await prefetch(flakeLock({ many: { url: `${served.origin}/many`, rev: many, narHash: unknownHash } })),
  ).toEqual([expect.stringMatching(/: git could not fetch it \(GIT_FETCH_FAILED\)\.$/)]);
  // Small each, and too large together.
  const bulk = newRepository('bulk').commit('one', { bulk: Buffer.alloc(300_000, 'x') });
  const bulks = Array.from({ length: 5 }, (_, at): [string, Links[string]] => [
    `b${at}`,
    { url: '../bulk', rev: bulk },
  ]);
  const sum = commitLinks(newRepository('sum'), {}, Object.fromEntries(bulks));
  const sumLock = flakeLock({ sum: { url: `${served.origin}/sum`, rev: sum, narHash: unknownHash } });
  expect(await prefetch(sumLock, { maxBytes: 100_000 })).toEqual([
    expect.stringMatching(
      /: its submodule "b\d+" cannot be had: git could not fetch it \(GIT_FETCH_FAILED\)\.$/,
    ),
  ]);
});

it('stay in their place, whatever else has its name', { timeout: 60_000 }, async () => {
  const rev = newRepository('inner').commit('one', { inside: 'inside' });
  const repository = newRepository('odd');
  const outside = join(folder(), 'outside');
  mkdirSync(join(outside, 'sub'), { recursive: true });
  symlinkSync(outside, join(folder(), 'to-outside'));
  const file = repository.gitWith(
    `[submodule "s"]\n\tpath = lib/sub\n\turl = ../inner\n`,
    'hash-object',
    '-w',
    '--stdin',
  );
  const link = repository.gitWith(outside, 'hash-object', '-w', '--stdin');
  const lib = repository.gitWith(`160000 commit ${rev}\tsub\n`, 'mktree', '--missing');
  const entries = [`100644 blob ${file}\t.gitmodules`, `120000 blob ${link}\tlib`, `040000 tree ${lib}\tlib`];
  const trees = {
    both: repository.gitWith(`${entries.join('\n')}\n`, 'mktree'),
    dotted: repository.gitWith(`160000 commit ${rev}\t.git\n`, 'mktree', '--missing'),
    up: repository.gitWith(`160000 commit ${rev}\t..\n`, 'mktree', '--missing'),
  };
  const nodes = Object.entries(trees).map(
    ([name, tree], index): [string, Parameters<typeof flakeLock>[0][string]] => {
      repository.git('update-ref', `refs/heads/${name}`, repository.git('commit-tree', '-m', name, tree));
      const hash = `sha256-${Buffer.alloc(32, index + 101).toString('base64')}`;
      return [name, { url: `${served.origin}/odd`, rev: repository.git('rev-parse', name), narHash: hash }];
    },
  );
  const told = await prefetch(flakeLock(Object.fromEntries(nodes)));
  expect(told).toHaveLength(3);
  for (const sentence of told) expect(sentence).toMatch(/not fetched before the evaluation/);
  expect(readdirSync(outside, { recursive: true })).toEqual(['sub']);
});
