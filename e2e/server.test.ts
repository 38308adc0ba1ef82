// The server on the demo's repository: every branch judged, through kill -9, a stop, and a head that moves.
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type RunResult, runChild } from '@eka-ci/process';
import { Derivation } from '@eka-ci/protocol/derivation';
import { ServerStatus } from '@eka-ci/protocol/operations';
import type { RecordedTransition } from '@eka-ci/server/database/database';
import { openSqliteDatabase } from '@eka-ci/server/database/kysely/sqlite/sqlite-database';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compareVerdict } from '../tools/demo/compare-verdict.ts';
import { createDemoRepository, type DemoRepository } from '../tools/demo/repository.ts';
import { createWorld, type World } from './testing/ekaci.ts';
import {
  type ChangeStateName,
  configureServer,
  databasePath,
  runServer,
  startServer,
  type TestServer,
  until,
} from './testing/server.ts';

let world: World;
let repository: DemoRepository;
let configFile: string;
let server: TestServer;

beforeAll(async () => {
  world = await createWorld();
  repository = await createDemoRepository(world.folder);
  configFile = await configureServer(world, repository.path);
});
afterAll(async () => {
  await server.stop();
  await world.remove();
});

const git = async (...args: string[]): Promise<string> => {
  const identity = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.org'];
  const run: RunResult = await runChild({
    command: 'git',
    args: ['-C', repository.path, ...identity, ...args],
    env: { ...world.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' },
  });
  if (run.code !== 0) throw new Error(run.stderr);
  return run.stdout.trim();
};

/** Writes a package onto the branch, and gives the new head. */
const push = async (branch: string, pname: string, buildPhase: string): Promise<string> => {
  await git('checkout', '--quiet', branch);
  const meta = 'description = "A test"; license = "mit"; maintainers = [ "ada" ];';
  const expression = `pname = "${pname}"; version = "1"; buildPhase = "${buildPhase}"; meta = { ${meta} };`;
  await writeFile(
    join(repository.path, 'pkgs', `${pname}.nix`),
    `{ mkPackage }: mkPackage { ${expression} }\n`,
  );
  await git('add', '--all');
  await git('commit', '--quiet', `--message=${pname}: init at 1`);
  return git('rev-parse', 'HEAD');
};

const waitFor = (number: number, head: string, states: readonly ChangeStateName[]) =>
  until(async () => {
    const change = await server.change(number);
    return change.headSha === head && states.includes(change.state) ? change : null;
  });

const activeBuilds = async (): Promise<number> => {
  const status = await server.get('/v1/status');
  return (status as { builds: { active: number } }).builds.active;
};

it('judges every branch as planted, also when it is killed in the middle', { timeout: 240_000 }, async () => {
  server = await startServer(world, configFile);
  await until(async () => ((await activeBuilds()) > 0 ? true : null));
  await server.kill();
  server = await startServer(world, configFile);
  const changes = await until(async () => {
    const found = await server.changes();
    return found.length === 4 && found.every(({ conclusion }) => conclusion !== null) ? found : null;
  });
  for (const branch of repository.branches) {
    const change = changes.find((one) => one.branch === branch.name);
    if (change === undefined) throw new Error(`${branch.name} was not judged`);
    const { summary, ...detail } = await server.change(change.number);
    expect(detail).toMatchObject({ state: 'judged', conclusion: branch.expected.conclusion, fault: null });
    expect(detail.title).toBe(branch.title);
    if (summary === null) throw new Error(`${branch.name} has no summary`);
    expect(compareVerdict(summary, branch.expected)).toEqual([]);
  }
  expect(changes.map(({ number }) => number).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4]);
  expect(await server.changes('&state=superseded')).toEqual([]);
});

it('is the only server of its database, and says so of a repository that it cannot read', {
  timeout: 60_000,
}, async () => {
  const second = await runServer(world, configFile);
  expect(second).toMatchObject({ code: 1, stdout: '' });
  expect(second.stderr).toMatch(/is in use by another EkaCI server/);
  const events = server
    .log()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const said = events.filter(({ repository: name }) => name === 'demo/gone');
  expect(said).toHaveLength(1);
  expect(said[0]?.['fault']).toMatch(/^GIT_NOT_A_REPOSITORY: /);
});

it('counts what it did, and tells it over its socket', { timeout: 60_000 }, async () => {
  const path = '/metrics';
  const [answer] = (await once(
    request({ socketPath: join(world.folder, 'ekaci.socket'), path }).end(),
    'response',
  )) as [IncomingMessage];
  const metrics = await text(answer);
  const valueOf = (sample: string): number => {
    const line = metrics.split('\n').find((one) => one.startsWith(`eka_ci_${sample} `));
    return Number(line?.split(' ')[1] ?? 0);
  };
  // Since it was started again; what the server before it had judged is not judged twice.
  const judged = ['success', 'failure'].map((one) =>
    valueOf(`changes_judged_total{kind="branch",conclusion="${one}"}`),
  );
  expect(Math.min(...judged)).toBeGreaterThan(0);
  expect(valueOf('builds_finished_total{outcome="succeeded",cause="built"}')).toBeGreaterThan(0);
  expect(valueOf('build_duration_seconds_count{outcome="succeeded"}')).toBeGreaterThan(0);
  expect(valueOf('build_queue_wait_seconds_count')).toBeGreaterThan(0);
  expect(valueOf('evaluation_records_total{side="judged"}')).toBeGreaterThan(0);
  expect(valueOf('rebuilds_planned_total')).toBeGreaterThan(0);
});

it('is asked from the command line over its socket, which tells what HTTP tells', {
  timeout: 60_000,
}, async () => {
  const at = ['--socket', join(world.folder, 'ekaci.socket')];
  const ask = async (...args: string[]): Promise<string> => {
    const run = await world.ekaci(...args);
    expect(run).toMatchObject({ code: 0, stderr: '' });
    return run.stdout;
  };
  const askJson = async (...args: string[]): Promise<unknown> => JSON.parse(await ask(...args, '--json'));
  const branch = 'update-fetcher';
  const judged = (await server.changes()).find((one) => one.branch === branch);
  const detail = await server.change(judged?.number ?? 0);
  const failing = detail.summary?.jobs[0]?.outcomes.find(({ attr }) => attr === 'fetcher');
  const [name, number, drv] = [detail.repository, String(detail.number), failing?.drvPath ?? ''];

  // The base branch itself comes after all changes.
  const nothingToDo = { ready: true, changes: { queued: 0, judging: 0 } };
  await until(async () => {
    const { changes } = ServerStatus.parse(await server.get('/v1/status'));
    return changes.queued + changes.judging === 0 ? true : null;
  });
  expect(await askJson('status', '--server', server.address)).toMatchObject(nothingToDo);
  expect(await ask('status', ...at)).toMatch(
    /^server +ready, up for .*\nchanges +0 being judged, 0 queued\n/,
  );
  expect(await askJson('changes', ...at)).toEqual(await server.get('/v1/prs?limit=50'));
  expect(await ask('changes', '--repository', name, '--limit', '500', ...at)).toMatch(
    new RegExp(`^${name} +${number} +${branch} +\\d+[sm] +failure$`, 'm'),
  );
  expect(await askJson('summary', name, number, ...at)).toEqual(detail.summary);
  expect(await askJson('summary', detail.headSha, ...at)).toEqual(detail.summary);
  expect(await ask('summary', name, number, ...at)).toMatch(/^✘ Do not merge[^]*Newly failing \(6\)/);
  expect(await ask('summary', name, number, '--markdown', ...at)).toMatch(/fetcher/);
  const path = `/v1/drvs/${basename(drv)}`;
  const derivation = Derivation.parse(await server.get(path));
  const hooks = { total: 0, runs: [], nextCursor: null };
  expect(await askJson('drv', 'info', drv, ...at)).toEqual({ ...derivation, hooks });
  const last = derivation.attempts.at(-1);
  const attempt = String(last?.attempt);
  expect(await ask('drv', 'info', drv, ...at)).toMatch(
    new RegExp(`^${attempt} +failed +builder-exit +\\S+ +`, 'm'),
  );
  const log = await (await fetch(`${server.address}${last?.logPath}`)).text();
  expect(log).toContain('\nerror: fetcher 2.0.0 needs libssl 3, found ');
  expect(await ask('logs', drv, '--attempt', attempt, ...at)).toBe(log);
  expect(await askJson('drv', 'why', drv, ...at)).toEqual(await server.get(`${path}/why`));
  expect(await ask('queue', ...at)).toMatch(
    /^BUILDER +BUILDS +FETCHES\nlocal +0 of \d+ +0 of \d+ +up\n\nNothing is being built, and nothing waits\.\n$/,
  );

  const refused = await world.ekaci('summary', name, '999', ...at);
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toMatch(/^ekaci: CHANGE_NOT_FOUND: /);
});

it('is missed by the command line where it does not run, in words that say what to do', async () => {
  const socket = join(world.folder, 'none.socket');
  const run = await world.ekaci('status', '--socket', socket);
  expect(run).toMatchObject({ code: 2, stdout: '' });
  expect(run.stderr).toMatch(/^ekaci: SERVER_NOT_RUNNING: no server answers: start eka-ci-server/);
  expect(run.stderr).toContain(`\n  ${socket}: does not exist\n`);
  const unreachable = await world.ekaci('status', '--server', 'http://127.0.0.1:1');
  expect(unreachable).toMatchObject({ code: 2, stdout: '' });
  expect(unreachable.stderr).toMatch(/^ekaci: SERVER_UNREACHABLE: /);
});

it('queues again what it was judging when it is stopped, and lets go of it for a newer head', {
  timeout: 120_000,
}, async () => {
  const branch = 'add-json-tools';
  const number = (await server.changes()).find((one) => one.branch === branch)?.number ?? 0;
  const slow = await push(branch, 'slow', '/bin/sleep 600');
  await waitFor(number, slow, ['judging']);
  await until(async () => ((await activeBuilds()) > 0 ? true : null));
  expect(await server.stop()).toEqual({ code: 0, signal: null });

  server = await startServer(world, configFile);
  const taken = await waitFor(number, slow, ['judging']);
  await until(async () => ((await activeBuilds()) > 0 ? true : null));
  await git('rm', '--quiet', 'pkgs/slow.nix');
  const quick = await push(branch, 'quick', 'echo done');
  const judged = await waitFor(number, quick, ['judged', 'failed']);
  expect(judged).toMatchObject({ state: 'judged', conclusion: 'success', title: 'quick: init at 1' });
  const replaced = await server.changes('&state=superseded');
  expect(replaced.find(({ id }) => id === taken.id)).toMatchObject({ headSha: slow, conclusion: null });

  await git('checkout', '--quiet', 'main');
  await git('branch', '--quiet', '-D', branch);
  await waitFor(number, quick, ['closed']);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

it('finished no build twice, and left none unfinished', async () => {
  const database = await openSqliteDatabase({ path: databasePath(world), durability: 'power-loss' });
  try {
    const events = await database.builds.eventsSince(0, 100_000);
    const built = events.filter(
      ({ to, cause }: RecordedTransition) => to === 'succeeded' && cause === 'built',
    );
    expect(built.length).toBeGreaterThan(20);
    expect(new Set(built.map(({ drv }) => drv)).size).toBe(built.length);
    const unfinished = await database.builds.unfinished();
    expect(unfinished.filter(({ state }) => state !== 'interrupted')).toEqual([]);
    expect(await database.deliveries.unfinished(10)).toEqual([]);
  } finally {
    await database.close();
  }
});
