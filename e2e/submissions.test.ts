// What operators have a running server judge by hand: repositories, files and URLs, through kill -9 and repeats.
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createClient } from '@eka-ci/cli/client/client';
import { ChangePage } from '@eka-ci/protocol/change';
import { ChangeSummary } from '@eka-ci/protocol/change-summary';
import { Review, type ReviewSubmission } from '@eka-ci/protocol/submission';
import { openSqliteDatabase } from '@eka-ci/server/database/kysely/sqlite/sqlite-database';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository, type Files, type Repository } from './testing/repository.ts';
import { configureServer, databasePath, startServer, type TestServer, until } from './testing/server.ts';

let world: World;
let repository: Repository;
let configFile: string;
let server: TestServer;
let socket: string;

const packages = (...lines: readonly string[]): string =>
  [
    'let package = name: script: derivation {',
    '  inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];',
    '}; in rec {',
    ...lines,
    '}',
  ].join('\n');

const hello = (version: string): string => `  hello = package "hello-${version}" "echo ${version} > $out";`;
const files: Files = {
  '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
  'default.nix': packages(hello('1.0')),
  'tools/release.nix': packages(`  tool = package "tool-1.0" "echo tool > $out";`),
};

beforeAll(async () => {
  world = await createWorld();
  repository = await createRepository(join(world.folder, 'repository'), files);
  await repository.branch('change', { 'default.nix': packages(hello('2.0')) });
  configFile = await configureServer(world, join(world.folder, 'not-there'));
  socket = join(world.folder, 'ekaci.socket');
  server = await startServer(world, configFile);
});
afterAll(async () => {
  await server.stop();
  await world.remove();
});

const containing = (text: string): unknown => expect.stringContaining(text);
const matching = (pattern: RegExp): unknown => expect.stringMatching(pattern);

const ekaci = (...args: readonly string[]) => world.ekaci(...args, '--socket', socket);
const client = () => createClient({ kind: 'socket', path: socket });

const submission = (more: Partial<ReviewSubmission> = {}): ReviewSubmission => ({
  id: randomUUID(),
  source: { kind: 'local', path: repository.path },
  base: { kind: 'nothing' },
  head: 'main',
  merge: false,
  jobs: [],
  file: null,
  build: true,
  sandbox: 'required',
  ...more,
});

const submit = (asked: ReviewSubmission): Promise<Review> => client().post('/v1/reviews', asked, Review);

const untilEnded = (id: string): Promise<Review> =>
  until(async () => {
    const review = await client().get(`/v1/reviews/${id}`, Review);
    return review.state === 'judged' || review.state === 'failed' ? review : null;
  });

it('repo: everything of a repository, or a change of it, with progress as it happens', {
  timeout: 60_000,
}, async () => {
  const all = await ekaci('repo', repository.path, '--json');
  expect([all.code, all.stderr]).toEqual([0, matching(/^checked out HEAD .* against nothing/m)]);
  const whole = ChangeSummary.parse(JSON.parse(all.stdout));
  expect(whole.change).toMatchObject({
    baseSha: null,
    merged: false,
    repository: repository.path,
    number: null,
  });
  expect(whole.jobs[0]).toMatchObject({ job: 'packages', attributes: { added: 1, changed: 0 } });
  expect(all.stderr).toMatch(/^\[1\/1\] succeeded hello-1\.0/m);

  await writeFile(join(repository.path, 'default.nix'), 'not committed');
  const change = await ekaci('repo', repository.path, '--base', 'main', '--head', 'change');
  expect(change).toMatchObject({ code: 0, stdout: containing('1.0 → 2.0') });
  expect(change.stderr).toMatch(/^checked out change \(.*\) merged into main/m);
  expect(change.stderr).not.toContain('not committed');
  const dirty = await ekaci('repo', repository.path);
  expect(dirty.stderr).toMatch(/^warning: the working tree has changes that are not committed/m);
  await repository.git('checkout', '--', '.');
});

it('job: one file as it is committed, whatever the configuration says', { timeout: 60_000 }, async () => {
  const tool = await ekaci('job', join(repository.path, 'tools/release.nix'), '--json');
  expect(tool.code).toBe(0);
  const summary = ChangeSummary.parse(JSON.parse(tool.stdout));
  expect(summary.jobs).toMatchObject([{ job: 'tools/release.nix', attributes: { added: 1 } }]);
  // Of a base that has not got it everything is new; of one that has, nothing.
  await repository.git('checkout', '--quiet', '-b', 'more');
  await repository.commit('more', { 'more.nix': packages(`  more = package "more-1" "echo > $out";`) });
  const more = await ekaci('job', join(repository.path, 'more.nix'), '--base', 'main', '--markdown');
  expect(more).toMatchObject({ code: 0, stdout: containing('more') });
  const same = await ekaci('job', join(repository.path, 'tools/release.nix'), '--base', 'main');
  expect(same).toMatchObject({ code: 0, stdout: containing('Rebuilds nothing') });
  await repository.git('checkout', '--quiet', 'main');

  await writeFile(join(repository.path, 'new.nix'), '{ }');
  const uncommitted = await ekaci('job', join(repository.path, 'new.nix'));
  expect(uncommitted.code).toBe(1);
  expect(uncommitted.stderr).toMatch(/^warning: the working tree has changes that are not committed/m);
  await repository.git('clean', '--quiet', '--force');
  const outside = await ekaci('job', configFile);
  expect(outside).toMatchObject({ code: 2, stderr: containing('is in no git repository') });
});

it('a URL is fetched, and its default branch judged against nothing', { timeout: 60_000 }, async () => {
  const source = { kind: 'url', url: `file://${repository.path}` } as const;
  const base = { kind: 'default-or-nothing' } as const;
  const [main, change] = [
    await submit(submission({ source, base, merge: true })),
    await submit(submission({ source, base, merge: true, head: 'change' })),
  ];
  expect([main.baseSha, change.baseSha]).toEqual([null, main.headSha]);
  expect(await untilEnded(main.id)).toMatchObject({ state: 'judged', conclusion: 'success', title: 'first' });
  const judged = await untilEnded(change.id);
  expect(judged).toMatchObject({ state: 'judged', title: 'change', repository: source.url });
  expect(judged.summary?.jobs[0]?.attributes).toMatchObject({ added: 0, changed: 1 });
  expect(judged.markdown).toContain('hello');
});

it('what the server cannot read, and whom it does not listen to: one sentence each, and no verdict', async () => {
  const empty = join(world.folder, 'empty');
  await mkdir(empty, { recursive: true });
  const nothing = await ekaci('repo', empty);
  expect(nothing.code).toBe(2);
  expect(nothing.stderr).toContain(`The server reads ${empty} itself`);
  const tcp = await world.ekaci('repo', repository.path, '--server', server.address);
  expect(tcp).toMatchObject({ code: 2, stdout: '', stderr: containing('unix socket') });
  const unknown = await ekaci('repo', repository.path, '--head', 'chagne');
  expect(unknown).toMatchObject({ code: 2, stderr: containing('did you mean change?') });
});

it('the same submission twice is judged once, and follows the server through kill -9', {
  timeout: 120_000,
}, async () => {
  const marker = join(world.folder, 'go-on');
  const waits = `until [ -e ${marker} ]; do /bin/sleep 0.05; done; echo done > $out`;
  await repository.branch('slow', { 'default.nix': packages(`  slow = package "slow-1" "${waits}";`) });
  const asked = submission({ head: 'slow' });
  const first = await submit(asked);
  expect(first).toMatchObject({ state: 'queued', summary: null, markdown: null });
  // The branch moves on: the repeat is still what was asked first.
  await repository.git('branch', '--force', 'slow', 'main');
  expect((await submit(asked)).headSha).toBe(first.headSha);
  await expect(submit({ ...asked, head: 'main' })).rejects.toThrow(/^REVIEW_ID_TAKEN: /);

  const followed = await world.start('repo', repository.path, '--head', first.headSha, '--socket', socket);
  followed.stdout.resume();
  let said = '';
  followed.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await until(async () => (/the server has it/.test(said) ? true : null));
  await until(async () =>
    JSON.stringify(await server.get('/v1/builds/active')).includes('slow-1') ? true : null,
  );
  await server.kill();
  server = await startServer(world, configFile);
  await writeFile(marker, '');
  expect(await followed.exited).toEqual({ code: 0, signal: null });
  const review = await untilEnded(asked.id);
  expect(review).toMatchObject({ state: 'judged', conclusion: 'success' });

  const rows = ChangePage.parse(await server.get('/v1/prs?kind=submitted&limit=100')).changes;
  expect(rows.filter(({ id }) => id === asked.id)).toHaveLength(1);
  await server.stop();
  const database = await openSqliteDatabase({ path: databasePath(world), durability: 'power-loss' });
  try {
    const built = (await database.builds.eventsSince(0, 100_000)).filter(
      ({ to, cause }) => to === 'succeeded' && cause === 'built',
    );
    expect(new Set(built.map(({ drv }) => drv)).size).toBe(built.length);
  } finally {
    await database.close();
  }
  server = await startServer(world, configFile);
});

it('is left to the server with --detach, and cancelled by its id', { timeout: 60_000 }, async () => {
  const forever = packages(`  slow = package "slow-2" "while :; do /bin/sleep 1; done";`);
  await repository.branch('forever', { 'default.nix': forever });
  const detached = await ekaci('repo', repository.path, '--head', 'forever', '--detach');
  const id = detached.stdout.trim();
  expect(detached).toMatchObject({ code: 0, stderr: '' });
  await until(async () =>
    JSON.stringify(await server.get('/v1/builds/active')).includes('slow-2') ? true : null,
  );
  expect((await ekaci('cancel', '--review', id)).code).toBe(0);
  expect(await untilEnded(id)).toMatchObject({ state: 'failed', conclusion: 'cancelled' });
});
