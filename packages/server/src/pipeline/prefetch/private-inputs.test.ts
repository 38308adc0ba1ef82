// Private inputs of a private repository, fetched with a token of theirs from a GitHub that is none; and whoever else would
// like to have them.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TreeSha } from '@eka-ci/core/ids';
import { type FakeGitHub, startFakeGitHub } from '@eka-ci/fakes/github';
import { createInputStore } from '@eka-ci/nix/locked-inputs/input-store';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createDestinationGuard } from '../../config/destination-guard.ts';
import { Secret } from '../../config/secret.ts';
import { createGithubForge } from '../../forge/github/github-forge.ts';
import { createGithubHttp } from '../../forge/github/github-http.ts';
import type { HostedForge } from '../../forge/hosted-forge.ts';
import { createGitCli } from '../../git/git-cli/git-cli.ts';
import { initTestRepository, useTestFolder } from '../../git/testing/test-repository.ts';
import { createPrefetch } from './prefetch.ts';

const { signal } = new AbortController();
const git = createGitCli({ env: process.env });
const folder = useTestFolder();
let store: PrivateStore;
let github: FakeGitHub;
let app: { readonly id: number; readonly privateKey: string };
let forge: HostedForge;

const secret = 'what nobody else is to read';

const openForge = (allowedRepos: readonly string[] | null): HostedForge =>
  createGithubForge({
    webUrl: github.url,
    http: createGithubHttp({ apiUrl: github.apiUrl, clock: Date.now, sleep: () => Promise.resolve() }),
    apps: [
      {
        id: 'main',
        permissions: {
          ...{ allow_all: allowedRepos === null, allowed_repos: [...(allowedRepos ?? [])] },
          allowed_branches: [],
        },
        loadCredentials: () =>
          Promise.resolve({ appId: String(app.id), privateKey: new Secret(app.privateKey) }),
      },
    ],
    ...{ webhookSecrets: null, knowsGithubIds: true, clock: Date.now },
  });

beforeAll(async () => {
  github = await startFakeGitHub();
  const { control } = github;
  await control.createUser({ login: 'alice' });
  for (const login of ['octo', 'acme'])
    await control.createOrganization({ login, members: { alice: 'admin' } });
  for (const [owner, name] of [
    ['octo', 'closed'],
    ['octo', 'lib'],
    ['octo', 'other'],
    ['acme', 'thing'],
  ] as const) {
    const files = { 'default.nix': JSON.stringify(`${name}: ${secret}`) };
    await control.createRepository({ owner, name, private: true, files });
  }
  await control.createRepository({ owner: 'octo', name: 'open', files: {} });
  const permissions = { contents: 'write', metadata: 'read', checks: 'write' } as const;
  app = await control.createApp({ slug: 'eka-ci', owner: 'octo', permissions, events: [] });
  for (const account of ['octo', 'acme']) await control.install({ app: app.id, account });
}, 60_000);
afterAll(async () => {
  await github.stop();
});
beforeEach(async () => {
  store = await createPrivateStore();
  forge = openForge(null);
});
afterEach(() => store.remove());

const nixStore = (...args: string[]): string =>
  execFileSync(store.nix.programs.store, args, {
    env: store.nix.env,
    encoding: 'utf8',
    stdio: 'pipe',
  }).trim();

interface Locked {
  readonly repository: string;
  readonly rev: string;
  readonly narHash: string;
  readonly storePath: string;
}

/** What is at the head of a repository, and where it would be in the store, which does not have it. */
const headOf = async (repository: string): Promise<Locked> => {
  const rev = (await github.control.readBranches({ repository }))['main'] ?? expect.fail('no main');
  const tree = join(folder(), repository, 'source');
  mkdirSync(tree, { recursive: true });
  writeFileSync(join(tree, 'default.nix'), JSON.stringify(`${repository.split('/')[1]}: ${secret}`));
  const storePath = nixStore('--add-fixed', '--recursive', 'sha256', tree);
  const narHash = nixStore('--query', '--hash', storePath);
  nixStore('--delete', '--ignore-liveness', storePath);
  return { repository, rev, narHash, storePath };
};

type Node = Readonly<Record<string, string | boolean | number>>;
const host = (): string => new URL(github.url).host;
const asArchive = ({ repository, rev, narHash }: Locked): Node => {
  const [owner = '', repo = ''] = repository.split('/');
  return { type: 'github', host: host(), owner, repo, rev, narHash };
};
const asGit = ({ repository, rev, narHash }: Locked): Node => {
  return { type: 'git', url: `${github.url}/${repository}`, rev, narHash };
};
const lockOf = (nodes: Readonly<Record<string, Node>>): string => {
  const locked = Object.entries(nodes).map(([name, node]): [string, object] => [name, { locked: node }]);
  return JSON.stringify({ version: 7, root: 'root', nodes: { root: {}, ...Object.fromEntries(locked) } });
};

let sets = 0;
interface Asked {
  readonly reader: string;
  /** Null: there is none. */
  readonly base: Readonly<Record<string, Node>> | null;
  readonly head: Readonly<Record<string, Node>>;
  /** @default what is private on the forge */
  readonly hidden?: readonly string[];
  readonly hasNetwork?: boolean;
}

const emptyTree = '4b825dc642cb6eb9a060e54bf8d69288fbee4904' as TreeSha;

const prefetch = async ({
  reader,
  base,
  head,
  hidden = ['octo/closed'],
  hasNetwork = false,
}: Asked): Promise<readonly string[]> => {
  sets += 1;
  const set = initTestRepository(join(folder(), `set-${sets}`));
  set.commit('base', { 'flake.lock': lockOf(base ?? {}) });
  const vouchedBy = base === null ? emptyTree : set.treeOf('HEAD');
  set.commit('head', { 'flake.lock': lockOf(head) });
  const source = { kind: 'local', path: set.path } as const;
  const mirror = await git.openMirror(source, join(folder(), `mirror-${sets}.git`), signal);
  const { prefetch: run } = createPrefetch({
    ...{ git, storeDir: store.nix.storeDir, guard: createDestinationGuard({ allowPrivate: false }) },
    inputs: createInputStore(store.nix),
    queries: (asking) => createStoreQueries(store.nix, asking),
    isHidden: (name) => hidden.some((one) => name === `${host()}/${one}`),
  });
  const place = { rootsDir: join(folder(), `roots-${sets}`), sandbox: 'preferred' as const };
  const reading = { reader: { forge, repository: reader }, vouchedBy };
  return run({ mirror, tree: set.treeOf('HEAD'), reading, hasNetwork, ...place }, signal);
};

/** The tokens that were asked for since, each with its bounds. */
const watchTokens = async () => {
  const before = (await github.control.readRequests({})).length;
  return async (): Promise<unknown[]> =>
    (await github.control.readRequests({}))
      .slice(before)
      .filter(({ path }) => path.endsWith('/access_tokens'))
      .map(({ body }) => body);
};

const contents = (storePath: string): string => readFileSync(join(storePath, 'default.nix'), 'utf8');
const isInStore = (storePath: string): boolean =>
  readdirSync(store.nix.storeDir).some((name) => storePath.endsWith(`/${name}`));

it('are fetched with a token for each that reads its content and nothing else', {
  timeout: 60_000,
}, async () => {
  const [lib, other] = [await headOf('octo/lib'), await headOf('octo/other')];
  const tokens = await watchTokens();
  const nodes = { lib: asArchive(lib), other: asGit(other) };
  // Also where the evaluation has the network: it has no token. Of what cannot be private it fetches all by itself.
  const asked = { base: nodes, head: nodes, hasNetwork: true };
  expect(await prefetch({ reader: 'octo/open', ...asked })).toEqual([]);
  expect(await tokens()).toEqual([]);
  expect(await prefetch({ reader: 'octo/closed', ...asked })).toEqual([]);
  expect(contents(lib.storePath)).toBe(JSON.stringify(`lib: ${secret}`));
  expect(contents(other.storePath)).toBe(JSON.stringify(`other: ${secret}`));
  const bodies = await tokens();
  const scoped = ['lib', 'other'].map((name) => ({
    repositories: [name],
    permissions: { contents: 'read' },
  }));
  expect(bodies).toEqual(expect.arrayContaining(scoped));
  // The rest is what speaks for the repository itself, and is sent to GitHub's API alone.
  expect(bodies.filter((body) => body !== null)).toHaveLength(2);
  expect(await github.control.readViolations({})).toEqual([]);
});

it('may be moved by a change, where the base names them', { timeout: 60_000 }, async () => {
  const old = await headOf('octo/lib');
  const { sha } = await github.control.push({
    ...{ repository: 'octo/lib', branch: 'next', from: 'main', by: 'alice' },
    files: { new: 'new' },
  });
  // What is there now is known to nobody here: no hash of it is told, and nothing of it stays.
  for (const as of [asArchive, asGit]) {
    const told = await prefetch({
      reader: 'octo/closed',
      base: { lib: as(old) },
      head: { lib: as({ ...old, rev: sha }) },
    });
    expect(told).toEqual([
      'The locked input "lib" was not fetched before the evaluation: its content is not what was locked.',
    ]);
  }
  expect(readdirSync(store.nix.storeDir).filter((name) => name.endsWith('-source'))).toEqual([]);
});

it('are for nobody else', { timeout: 120_000 }, async () => {
  const [lib, other, thing] = [
    await headOf('octo/lib'),
    await headOf('octo/other'),
    await headOf('acme/thing'),
  ];
  const vouched = { lib: asArchive(lib) };
  const expectDenied = async (asked: Asked, why: RegExp): Promise<void> => {
    const tokens = await watchTokens();
    const told = await prefetch(asked);
    expect(told).toEqual(Object.keys(asked.head).map(() => expect.stringMatching(why) as string));
    expect((await tokens()).filter((body) => body !== null)).toEqual([]);
    for (const { storePath } of [lib, other, thing]) expect(isInStore(storePath)).toBe(false);
  };
  // A public repository, whose evaluations anybody reads: by what is known here, and by what the forge says now.
  const isPublic = /, and for a repository that is public itself nothing is fetched with credentials\.$/;
  await expectDenied({ reader: 'octo/open', base: vouched, head: vouched }, isPublic);
  await expectDenied({ reader: 'octo/open', base: vouched, head: vouched, hidden: ['octo/open'] }, isPublic);
  await expectDenied({ reader: 'octo/closed', base: vouched, head: vouched, hidden: [] }, isPublic);
  // What only the change locks; whether there is such a repository is not told.
  const onlyHead =
    /, and octo\/\w+ is fetched with credentials only when a lock file of the base branch names it: lock it there first\.$/;
  const nowhere = { ...other, repository: 'octo/nothing', narHash: `sha256-${'B'.repeat(43)}=` };
  const added = { archive: asArchive(other), none: asGit(nowhere) };
  await expectDenied({ reader: 'octo/closed', base: vouched, head: added }, onlyHead);
  await expectDenied({ reader: 'octo/closed', base: null, head: vouched }, onlyHead);
  // The hash of what the base locks does not open another repository.
  const posing = { lib: asArchive({ ...other, narHash: lib.narHash }) };
  await expectDenied({ reader: 'octo/closed', base: vouched, head: posing }, onlyHead);
  // Of another owner, whoever locks it, and though the app is there.
  const foreign = { thing: asGit(thing) };
  await expectDenied(
    { reader: 'octo/closed', base: foreign, head: foreign },
    /, and with credentials only repositories of octo are fetched\.$/,
  );
  // The operator lets the app do its work elsewhere.
  forge = openForge(['octo/closed']);
  await expectDenied(
    { reader: 'octo/closed', base: vouched, head: vouched },
    /, and the app may not read octo\/lib: install it there, and let its permissions in github_apps name it\.$/,
  );
  forge = openForge(null);
  await github.control.addFault({
    ...{ path: '/access_tokens$', times: 20 },
    fault: { kind: 'status', status: 503 },
  });
  const down = await prefetch({ reader: 'octo/closed', base: vouched, head: vouched });
  expect(down).toEqual([
    expect.stringMatching(/its forge could not be asked for leave to read it \(GITHUB_FAULT\)\.$/),
  ]);
  await github.control.clearFaults({});
});
