// What was built goes to binary caches: of a base branch to the cache of that branch, of a change to no cache but its own.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runChild } from '@eka-ci/process';
import { ServerStatus } from '@eka-ci/protocol/operations';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository, type Repository } from './testing/repository.ts';
import { configureServer, startServer, type TestServer, until } from './testing/server.ts';

/** One package that needs another to run. */
const packageSet = `let
  shell = name: script: derivation {
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];
  };
  library = shell "library" "echo library > $out";
in { tool = shell "tool" ". \${./empty.sh}; echo \${library} \${builtins.readFile ./tool.txt} > $out"; }`;

const configNaming = (...caches: readonly string[]): string =>
  JSON.stringify({ jobs: { packages: { file: 'default.nix', caches } } });

let world: World;
let repository: Repository;
let server: TestServer;
let publicKey: string;

const folderOf = (cache: string): string => join(world.folder, 'caches', cache);

/** A signing key for all caches, in a file that only its owner reads. */
const writeKey = async (): Promise<string> => {
  const [secret, open] = [join(world.folder, 'key.secret'), join(world.folder, 'key.public')];
  const args = ['--generate-binary-cache-key', 'e2e-1', secret, open];
  await runChild({ command: 'nix-store', args, env: world.env });
  publicKey = (await readFile(open, 'utf8')).trim();
  const file = join(world.folder, 'credentials.json');
  const key = (await readFile(secret, 'utf8')).trim();
  await writeFile(file, JSON.stringify({ NIX_SIGNING_KEY: key }), { mode: 0o600 });
  return file;
};

const cacheLines = (id: string, credentials: string, permissions: string): string =>
  [
    '[[caches]]',
    `id = "${id}"`,
    'cache_type = "nix-copy"',
    `destination = "file://${folderOf(id)}"`,
    `credentials = { file = { path = ${JSON.stringify(credentials)} } }`,
    `permissions = ${permissions}`,
    '',
  ].join('\n');

beforeAll(async () => {
  world = await createWorld();
  repository = await createRepository(join(world.folder, 'set'), {
    'default.nix': packageSet,
    'empty.sh': '',
    'tool.txt': 'one',
    '.eka-ci/config.json': configNaming('release', 'everybody'),
  });
  // Its author asks for the cache of the base branch by the name of a branch, and for one more in its configuration.
  await repository.branch('heads/main', {
    'tool.txt': 'two',
    '.eka-ci/config.json': configNaming('release', 'everybody', 'unasked', 'nowhere'),
  });
  const credentials = await writeKey();
  for (const cache of ['release', 'everybody', 'unasked']) await mkdir(folderOf(cache), { recursive: true });
  const configFile = await configureServer(world, repository.path);
  const onlyMain =
    '{ allow_all = false, allowed_repos = ["demo/*"], allowed_branches = ["main", "heads/*"] }';
  await writeFile(
    configFile,
    [
      '[security]',
      'allow_private_cache_hosts = true',
      '[[branches]]',
      'pattern = "main"',
      'build = "all"',
      cacheLines('release', credentials, onlyMain),
      cacheLines('everybody', credentials, '{ allow_all = true }'),
      cacheLines('unasked', credentials, '{ allow_all = true }'),
    ].join('\n'),
    { flag: 'a' },
  );
  server = await startServer(world, configFile);
});
afterAll(async () => {
  await server?.stop();
  await world.remove();
});

/** By the names of what they are of. */
const narinfosIn = async (cache: string): Promise<Map<string, string>> => {
  const files = (await readdir(folderOf(cache))).filter((name) => name.endsWith('.narinfo'));
  const texts = await Promise.all(files.map((name) => readFile(join(folderOf(cache), name), 'utf8')));
  return new Map(texts.map((text) => [/^StorePath: \S+\/[^-/\s]+-(\S+)$/m.exec(text)?.[1] ?? '', text]));
};

const namesIn = async (cache: string): Promise<string[]> => [...(await narinfosIn(cache)).keys()].toSorted();

const nothingWaits = async () => {
  const { caches } = ServerStatus.parse(await server.get('/v1/status'));
  return caches.every(({ waiting }) => waiting === 0) ? caches : null;
};

it('goes to the caches that its base names and the operator permits', { timeout: 120_000 }, async () => {
  const [change] = await until(async () => {
    const judged = await server.changes('&state=judged');
    return judged.length === 1 ? judged : null;
  });
  expect(change).toMatchObject({ branch: 'heads/main', conclusion: 'success' });
  // Two of the branch and one of the change: their library is the same.
  await until(async () =>
    (await readdir(folderOf('everybody'))).filter((name) => name.endsWith('.narinfo')).length === 3
      ? true
      : null,
  );
  await until(async () => ((await namesIn('release')).length > 0 ? true : null));
  const caches = await until(nothingWaits);
  expect(caches.map(({ cache, fault }) => [cache, fault])).toEqual([
    ['release', null],
    ['everybody', null],
    ['unasked', null],
  ]);
  const released = await narinfosIn('release');
  expect([...released.keys()].toSorted()).toEqual(['library', 'tool']);
  for (const text of released.values()) expect(text).toContain(`Sig: ${publicKey.split(':')[0]}:`);
  // Only the base's word counts: what its author names is to be merged first.
  expect(await namesIn('unasked')).toEqual([]);
  const nars = await readdir(join(folderOf('release'), 'nar'));
  expect(nars).toHaveLength(2);
  const { summary } = await server.change(change?.number ?? 0);
  expect(JSON.stringify(summary)).toContain('packages names a cache that this server does not have');
  const audited = server
    .log()
    .split('\n')
    .filter((line) => line.includes('"audit":"cache-push"'));
  expect(audited.length).toBe(3);
  expect(server.log()).not.toContain(await readFile(join(world.folder, 'key.secret'), 'utf8'));
  expect((await world.ekaci('status', '--server', server.address)).stdout).toContain(
    'release: nothing waits',
  );
});

it('is not sent again by a server that starts anew', { timeout: 60_000 }, async () => {
  const before = await readdir(join(folderOf('everybody'), 'nar'));
  await server.kill();
  server = await startServer(world, join(world.folder, 'ekaci.toml'));
  await until(nothingWaits);
  expect(await readdir(join(folderOf('everybody'), 'nar'))).toEqual(before);
  expect(server.log()).not.toContain('"audit":"cache-push"');
});
