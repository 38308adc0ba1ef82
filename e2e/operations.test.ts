// What operators do with the server itself: keep it from filling a disk, let it run dry, take a copy of its database,
// have it remove what is old, and lose its database.
import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type RunResult, runChild } from '@eka-ci/process';
import { DrainState, ServerStatus } from '@eka-ci/protocol/operations';
import type { RecordedTransition } from '@eka-ci/server/database/database';
import { openSqliteDatabase } from '@eka-ci/server/database/kysely/sqlite/sqlite-database';
import { ask } from '@eka-ci/server/http/testing/raw-request';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository } from './testing/repository.ts';
import { configureServer, databasePath, startServer, type TestServer, until } from './testing/server.ts';

let world: World;
let configFile: string;
let server: TestServer;
let copied: readonly RecordedTransition[] = [];

const flag = (): string => join(world.folder, 'go-on');
const backupFile = (): string => join(world.folder, 'backup.db');

/** `slow` ends when the flag is there; two more need it, one after the other. */
const packageSet = (): string => `
let
  version = import ./version.nix;
  build = name: script: inputs: derivation {
    inherit inputs;
    name = "\${name}-\${version}";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
  };
in rec {
  slow = build "slow" "while ! test -e ${flag()}; do /bin/sleep 0.05; done; echo slow > $out" [ ];
  after = build "after" "echo after > $out" [ slow ];
  last = build "last" "echo last > $out" [ after ];
}
`;

beforeAll(async () => {
  world = await createWorld();
  const repository = await createRepository(join(world.folder, 'set'), {
    '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
    'default.nix': packageSet(),
    'version.nix': '"1"\n',
  });
  await repository.branch('bump', { 'version.nix': '"2"\n' });
  configFile = await configureServer(world, repository.path);
});
afterAll(async () => {
  await server.stop();
  await world.remove();
});

const ekaci = (...args: readonly string[]): Promise<RunResult> =>
  world.ekaci(...args, '--socket', join(world.folder, 'ekaci.socket'));

const status = async (): Promise<ServerStatus> => ServerStatus.parse(await server.get('/v1/status'));

const judgedState = async (): Promise<string> => (await server.change(1)).state;

it('begins nothing while a disk is too full, says so, and ends at once', { timeout: 60_000 }, async () => {
  const roomy = join(world.folder, 'roomy.toml');
  const greedy = (await readFile(configFile, 'utf8')).replace(
    'min_free_mib = 64',
    'min_free_mib = 100000000',
  );
  await writeFile(roomy, greedy);
  server = await startServer(world, roomy);
  const { warnings } = await until(async () => {
    const now = await status();
    return now.changes.judging > 0 && /evaluation of packages .* waits/.test(server.log()) ? now : null;
  });
  expect(warnings).toEqual([
    expect.stringMatching(/^the disk of the Nix store has .*disk\.min_free_mib asks for/),
  ]);
  expect((await ekaci('status')).stdout).toMatch(/^warning +nothing begins: the disk of the Nix store has /m);
  expect(server.log().match(/no build and no evaluation begins/g)).toHaveLength(1);
  const metrics = await ask({ socketPath: join(world.folder, 'ekaci.socket') }, '/metrics');
  expect(metrics.body).toMatch(/^eka_ci_disk_free_bytes\{place="the database"\} [1-9]\d+$/m);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

it('runs dry: what runs ends, nothing begins, and the change goes back to the queue', {
  timeout: 60_000,
}, async () => {
  server = await startServer(world, configFile);
  await until(async () => ((await status()).builds.active === 1 ? true : null));
  const refused = await fetch(`${server.address}/v1/drain`, { method: 'POST' });
  expect(refused.status).toBe(401);
  expect(await refused.json()).toMatchObject({ error: { code: 'SIGN_IN_REQUIRED' } });

  expect((await ekaci('drain')).stdout).toMatch(/^Nothing begins any more; what runs ends/);
  expect(await status()).toMatchObject({ ready: true, draining: true, builds: { active: 1 } });
  expect((await ekaci('status')).stdout).toMatch(/^server +draining: nothing begins any more/);
  expect(server.log()).toMatch(/"msg":"draining: nothing begins any more, what runs ends"/);
  const drained = ekaci('drain', '--wait', '--json');
  expect(await judgedState()).toBe('judging');
  await writeFile(flag(), '');
  const { stdout, code } = await drained;
  expect(DrainState.parse(JSON.parse(stdout))).toEqual({ draining: true, dry: true });
  expect(code).toBe(0);
  expect(await judgedState()).toBe('queued');
  expect((await status()).builds).toMatchObject({ active: 0, queued: 0 });
});

it('is backed up while it goes on, and the copy is a whole database', { timeout: 60_000 }, async () => {
  expect((await ekaci('drain', '--undo')).stdout).toBe('The server takes work again.\n');
  const copies: RunResult[] = [];
  do copies.push(await ekaci('backup', '--force', backupFile()));
  while ((await judgedState()) !== 'judged');
  // The last of them may have been taken before the last build had ended.
  copies.push(await ekaci('backup', '--force', backupFile()));
  expect(copies.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
    copies.map(() => ({ code: 0, stderr: '' })),
  );
  expect((await stat(backupFile())).mode & 0o777).toBe(0o600);

  const again = await ekaci('backup', backupFile());
  expect(again).toMatchObject({ code: 2, stdout: '' });
  expect(again.stderr).toMatch(/was not written: it exists: name another file, or give --force/);
  const nowhere = await ekaci('backup', join(world.folder, 'nowhere/backup.db'));
  expect(nowhere.stderr).toMatch(/was not written: its folder does not exist/);
  expect((await fetch(`${server.address}/v1/backup`, { method: 'POST' })).status).toBe(401);

  const copy = new DatabaseSync(backupFile(), { readOnly: true });
  expect(copy.prepare('pragma integrity_check').get()).toEqual({ integrity_check: 'ok' });
  copy.close();
  const database = await openSqliteDatabase({ path: backupFile(), durability: 'process-death' });
  expect(await database.changes.findByNumber('demo/package-set', 1)).toMatchObject({ branch: 'bump' });
  copied = await database.builds.eventsSince(0, 1000);
  await database.close();
  const left = await readdir(join(dirname(databasePath(world)), 'backups'));
  expect(left).toEqual([]);
  expect((await readdir(world.folder)).filter((name) => name.includes('.part-'))).toEqual([]);
});

it('built nothing twice, interrupted nothing, and kept what it built from collection', async () => {
  expect(await server.change(1)).toMatchObject({ state: 'judged', conclusion: 'success' });
  const built = copied.filter(({ to, cause }) => to === 'succeeded' && cause === 'built');
  expect(new Set(built.map(({ drv }) => drv)).size).toBe(built.length);
  expect(built.length).toBeGreaterThan(2);
  // What waited while it drained was given back, but nothing that ran was ended.
  expect(copied.filter(({ from, to }) => from === 'building' && to !== 'succeeded')).toEqual([]);
  const roots = await runChild({ command: 'nix-store', args: ['--gc', '--print-live'], env: world.env });
  expect(roots.stdout).toMatch(/-last-2$/m);
  expect(roots.stdout).toMatch(/-slow-2$/m);
});

const run = (command: string, ...args: readonly string[]): Promise<RunResult> =>
  runChild({ command, args, env: world.env });

/** Null where this user may not make one. */
const smallDisk = async (): Promise<string | null> => {
  const place = join(world.folder, 'small');
  await mkdir(place);
  const mounted = await run('mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', place).catch(() => null);
  return mounted?.code === 0 ? place : null;
};

it('leaves no half a backup on a disk that is full', async (test) => {
  const disk = await smallDisk();
  if (disk === null) return test.skip('mounting needs more rights than this test has');
  try {
    const full = await ekaci('backup', join(disk, 'backup.db'));
    expect(full).toMatchObject({ code: 2, stdout: '' });
    expect(full.stderr).toMatch(/backup\.db was not written: there is no space left on its disk/);
    expect(await readdir(disk)).toEqual([]);
  } finally {
    await run('umount', disk);
  }
});

it('is read through a pipe that closes early without a word', async () => {
  const main = join(import.meta.dirname, '../packages/cli/src/ekaci.mjs');
  // Its reader has gone before it begins.
  const script = 'exec 3> >(:); wait $!; "$@" >&3; echo $?';
  const args = ['-c', script, 'bash', process.execPath, main];
  const unread = (...command: string[]): Promise<RunResult> =>
    runChild({ command: 'bash', args: [...args, ...command], env: world.env });
  const changes = await unread('changes', '--socket', join(world.folder, 'ekaci.socket'));
  expect(changes).toMatchObject({ stdout: '141\n', stderr: '' });
  // Never a verdict.
  const review = await unread('review', join(world.folder, 'set'), '--base=main', '--head=bump', '--json');
  expect(review).toMatchObject({ stdout: '2\n' });
});

it('removes logs at its start that are older than they are kept, and says so of each', {
  timeout: 60_000,
}, async () => {
  const summary = (await server.change(1)).summary;
  const drv = basename(summary?.jobs[0]?.outcomes.find(({ attr }) => attr === 'last')?.drvPath ?? '');
  const path = `${server.address}/v1/logs/${drv}`;
  expect((await fetch(path)).status).toBe(200);
  await server.stop();
  await writeFile(configFile, `${await readFile(configFile, 'utf8')}\n[retention]\nbuild_log_days = 0\n`);
  const logs = join(dirname(databasePath(world)), 'logs');
  for (const file of await readdir(logs, { recursive: true })) await utimes(join(logs, file), 1, 1);
  server = await startServer(world, configFile);
  await until(async () => (/removed what is older than it is kept/.test(server.log()) ? true : null));
  const answer = await fetch(`${server.address}/v1/logs/${drv}`);
  expect(answer.status).toBe(410);
  expect(await answer.json()).toMatchObject({ error: { code: 'LOG_EXPIRED' } });
});
