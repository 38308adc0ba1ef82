// What operators do to a running server: approve a wide change, cancel a judgement, order the build of one derivation.
import { randomUUID } from 'node:crypto';
import { appendFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type AnswerSchema, createClient } from '@eka-ci/cli/client/client';
import { type RunResult, runChild } from '@eka-ci/process';
import { OrderedBuild } from '@eka-ci/protocol/build-request';
import { Change } from '@eka-ci/protocol/change';
import { Derivation } from '@eka-ci/protocol/derivation';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository, type Repository } from './testing/repository.ts';
import {
  type ChangeStateName,
  configureServer,
  startServer,
  type TestServer,
  until,
} from './testing/server.ts';

let world: World;
let repository: Repository;
let configFile: string;
let server: TestServer;

const name = 'demo/package-set';

/** Five packages of one version, and one that is as slow as its file says. */
const packageSet = `
let
  version = import ./version.nix;
  build = name: script: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
  };
  numbers = [ "1" "2" "3" "4" "5" ];
in
builtins.listToAttrs (map (n: { name = "p\${n}"; value = build "p\${n}-\${version}" "echo built > $out"; }) numbers)
// { slow = build "slow-1" "/bin/sleep \${import ./sleep.nix}; echo > $out"; }
`;

beforeAll(async () => {
  world = await createWorld();
  repository = await createRepository(join(world.folder, 'set'), {
    '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
    'default.nix': packageSet,
    'version.nix': '"1"\n',
    'sleep.nix': '"0"\n',
  });
  await repository.branch('docs', { 'docs/read-me.md': 'Nothing that rebuilds anything.\n' });
  await repository.branch('wide', { 'version.nix': '"2"\n' });
  configFile = await configureServer(world, repository.path);
  await appendFile(configFile, '[rebuild]\nmax_rebuild_count = 3\nskip_paths = ["docs/**"]\n');
  server = await startServer(world, configFile);
});
afterAll(async () => {
  await server.stop();
  await world.remove();
});

/** The same without a process of its own for each. */
const post = <Answer>(path: string, body: unknown, schema: AnswerSchema<Answer>): Promise<Answer> =>
  createClient({ kind: 'socket', path: join(world.folder, 'ekaci.socket') }).post(path, body, schema);

const ekaci = (...args: readonly string[]): Promise<RunResult> =>
  world.ekaci(...args, '--socket', join(world.folder, 'ekaci.socket'));

/** What it prints where it succeeds. */
const said = async (...args: readonly string[]): Promise<string> => {
  const run = await ekaci(...args);
  expect(run, args.join(' ')).toMatchObject({ code: 0 });
  return run.stdout;
};

const waitFor = (branch: string, head: string, states: readonly ChangeStateName[]) =>
  until(async () => {
    const change = (await server.changes()).find((one) => one.branch === branch && one.headSha === head);
    return change !== undefined && states.includes(change.state) ? await server.change(change.number) : null;
  });

const headOf = (branch: string): Promise<string> => repository.git('rev-parse', branch);

const activeBuilds = async (): Promise<number> => {
  const status = await server.get('/v1/status');
  return (status as { builds: { active: number } }).builds.active;
};

it('builds nothing of a wide change before it is approved, and asks again for a new head', {
  timeout: 120_000,
}, async () => {
  const head = await headOf('wide');
  const change = await waitFor('wide', head, ['judged', 'failed']);
  expect(change).toMatchObject({ conclusion: 'action-required', approved: false, fault: null });
  const { summary, number } = change;
  expect(summary).toMatchObject({ conclusion: 'action-required', wide: { builds: 5, limit: 3 } });
  expect(summary?.headline).toBe(
    'Waits for approval: it takes 5 builds, where a change may start 3 by itself.',
  );
  expect(summary?.notices.map(({ message }) => message).join()).toContain(`ekaci approve ${name} ${number}`);
  const outcomes = summary?.jobs[0]?.outcomes ?? [];
  expect(outcomes.map(({ kind }) => kind)).toEqual([
    'not-built',
    'not-built',
    'not-built',
    'not-built',
    'not-built',
  ]);
  expect(outcomes[0]?.reason).toMatch(/^the change waits for approval: it takes 5 builds/);
  const drv = `/v1/drvs/${basename(outcomes[0]?.drvPath ?? '')}`;
  expect(Derivation.parse(await server.get(drv))).toMatchObject({ state: null, attempts: [] });
  expect(await said('changes')).toContain(`waits for approval (ekaci approve ${name} ${number})`);

  // Who looked at another head means no other.
  const other = await ekaci('approve', name, String(number), '--head', 'e'.repeat(40));
  expect([other.code, other.stderr]).toEqual([1, expect.stringContaining(`is ${head} by now`)]);
  expect(await said('approve', name, String(number), '--head', head)).toMatch(
    / is approved at [0-9a-f]{12}, and queued/,
  );
  const approved = await waitFor('wide', head, ['judged', 'failed']);
  expect(approved).toMatchObject({ conclusion: 'success', approved: true, summary: { wide: null } });
  expect(await said('approve', name, String(number))).toContain(
    'was approved already: it is judged (success)',
  );

  await repository.git('checkout', '--quiet', 'wide');
  await repository.commit('once more', { 'version.nix': '"3"\n' });
  await repository.git('checkout', '--quiet', 'main');
  const again = await waitFor('wide', await headOf('wide'), ['judged', 'failed']);
  expect(again).toMatchObject({ number, conclusion: 'action-required', approved: false });
});

it('builds nothing of a review that takes more than it may', { timeout: 60_000 }, async () => {
  const args = ['--base', 'main', '--head', 'wide', '--max-rebuilds'];
  const wide = await world.review(repository.path, ...args, '4');
  expect(wide).toMatchObject({
    status: 2,
    summary: { conclusion: 'action-required', wide: { builds: 5, limit: 4 } },
  });
  expect(wide.summary.notices.map(({ message }) => message).join()).toContain('--max-rebuilds');
});

it('does not evaluate what touches only paths that the operator passes over', {
  timeout: 30_000,
}, async () => {
  const change = await waitFor('docs', await headOf('docs'), ['judged', 'failed']);
  expect(change).toMatchObject({ conclusion: 'success' });
  expect(change.summary?.jobs[0]?.notJudged).toContain('rebuild.skip_paths');
});

it('cancels a judgement with its builds, once, and judges it again when that is asked', {
  timeout: 120_000,
}, async () => {
  await repository.branch('slow', { 'sleep.nix': '"600"\n' });
  const head = await headOf('slow');
  const { number } = await waitFor('slow', head, ['judging']);
  await until(async () => ((await activeBuilds()) === 1 ? true : null));
  expect(await said('cancel', name, String(number))).toContain('is cancelled');
  expect(await server.change(number)).toMatchObject({ state: 'failed', conclusion: 'cancelled' });
  await until(async () => ((await activeBuilds()) === 0 ? true : null));
  const path = `/v1/prs/git/${name}/${number}/cancel`;
  expect(await post(path, null, Change)).toMatchObject({ state: 'failed', conclusion: 'cancelled' });

  const again = JSON.parse(await said('rejudge', name, String(number), '--json')) as unknown;
  expect(again).toMatchObject({ number, headSha: head });
  await waitFor('slow', head, ['judging']);
  await post(path, null, Change);
  await until(async () => ((await activeBuilds()) === 0 ? true : null));
  expect(await server.change(number)).toMatchObject({ state: 'failed', conclusion: 'cancelled' });
});

it('does such things for operators alone', { timeout: 60_000 }, async () => {
  const refused = await world.ekaci('cancel', name, '1', '--server', server.address);
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toMatch(/^ekaci: SIGN_IN_REQUIRED: /);
});

/** Puts derivations into the store of the server, and gives their paths by name. */
const instantiate = async (file: string, expression: string): Promise<Record<string, string>> => {
  const path = join(world.folder, file);
  await writeFile(path, expression);
  const run = await runChild({ command: 'nix-instantiate', args: [path], env: world.env });
  if (run.code !== 0) throw new Error(run.stderr);
  const paths = run.stdout.trim().split('\n');
  return Object.fromEntries(paths.map((drv) => [drv.replace(/^.*\/[^-]+-/, '').replace('.drv', ''), drv]));
};

const derivations = `
let
  build = name: script: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
  };
  bad = build "bad" "echo about to fail; exit 3";
in
{
  inherit bad;
  good = build "good" "echo fine > $out";
  above = build "above" "cat \${bad} > $out";
  slow = build "slow" "/bin/sleep 2; echo done > $out";
}
`;

it('builds what is ordered, and tries a failure again only where that is said', {
  timeout: 120_000,
}, async () => {
  const drvs = await instantiate('ordered.nix', derivations);
  const [good, bad, above] = [drvs['good'] ?? '', drvs['bad'] ?? '', drvs['above'] ?? ''];
  const order = async (drv: string, how: { force?: true; rebuildAll?: true }) => {
    const id = randomUUID();
    await post(`/v1/drvs/${basename(drv)}/build`, { id, ...how }, OrderedBuild);
    return until(async () => {
      const build = OrderedBuild.parse(await server.get(`/v1/build-orders/${id}`));
      return build.state === 'done' ? build.ending : null;
    });
  };
  const attemptsAt = async (drv: string): Promise<number> =>
    Derivation.parse(await server.get(`/v1/drvs/${basename(drv)}`)).attempts.length;

  expect(await said('build', good)).toBe(`${basename(good)} is built.\n`);
  expect(await order(good, { force: true })).toMatchObject({ outcome: 'succeeded', cause: 'already-valid' });
  expect(await attemptsAt(good)).toBe(1);

  const first = await ekaci('build', bad);
  expect(first).toMatchObject({ code: 1 });
  expect(first.stdout).toMatch(/-bad\.drv: failed: .*\n {2}\| about to fail\n/);
  const standing = { outcome: 'failed', message: 'it failed before; --force tries it again' };
  expect(await order(bad, {})).toMatchObject(standing);
  expect(await attemptsAt(bad)).toBe(1);
  expect(await order(bad, { force: true })).toMatchObject({ outcome: 'failed', cause: 'builder-exit' });
  expect(await attemptsAt(bad)).toBe(2);

  const held = await ekaci('build', above, '--force');
  expect(held).toMatchObject({ code: 1 });
  expect(held.stdout).toMatch(
    /-above\.drv: dependency-failed: .*--rebuild-all tries that again\n.*-bad\.drv:\n/,
  );
  expect(await attemptsAt(bad)).toBe(2);
  expect(await order(above, { rebuildAll: true })).toMatchObject({
    outcome: 'dependency-failed',
    culprit: bad,
  });
  expect(await attemptsAt(bad)).toBe(3);

  const unknown = await ekaci('build', `${'0'.repeat(32)}-nothing.drv`);
  expect(unknown).toMatchObject({ code: 1, stdout: '' });
  expect(unknown.stderr).toMatch(/^ekaci: DRV_NOT_IN_STORE: .*nix-copy-closure/);
});

it('takes an ordered build up again after kill -9', { timeout: 120_000 }, async () => {
  const { slow = '' } = await instantiate('ordered.nix', derivations);
  const order = OrderedBuild.parse(JSON.parse(await said('build', slow, '--detach', '--json')));
  await until(async () => ((await activeBuilds()) === 1 ? true : null));
  await server.kill();
  server = await startServer(world, configFile);
  const ended = await until(async () => {
    const build = OrderedBuild.parse(await server.get(`/v1/build-orders/${order.id}`));
    return build.state === 'done' ? build : null;
  });
  expect(ended).toMatchObject({ drvPath: slow, ending: { outcome: 'succeeded' } });
});
