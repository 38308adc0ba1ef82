// Failures that can be trusted, with real git and real Nix: two changes share one, an operator says that its cause is
// gone, and a foreign system holds nobody up.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { RunResult } from '@eka-ci/process';
import type { ChangeDetail } from '@eka-ci/protocol/change';
import { Derivation } from '@eka-ci/protocol/derivation';
import { Rebuild } from '@eka-ci/protocol/rebuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository, type Repository } from './testing/repository.ts';
import { configureServer, startServer, type TestServer, until } from './testing/server.ts';

let world: World;
let repository: Repository;
let server: TestServer;

const name = 'demo/package-set';

/** `shared` counts its builds, and fails while its cause is there; the others are what their files say. */
const packageSet = (folder: string): string => `let
  build = name: system: script: derivation {
    inherit name system; builder = "/bin/sh"; args = [ "-c" script ]; PATH = "/usr/bin:/bin";
  };
  here = builtins.currentSystem;
  shared = build "shared-\${import ./shared.nix}" here ''
    n=0; test -e ${folder}/tries && read n < ${folder}/tries
    n=$((n + 1)); echo $n > ${folder}/tries; echo "try $n"
    \${if import ./shared.nix == "1" then "" else "test -e ${folder}/cause-is-gone || exit 1"}
    echo shared > $out'';
in {
  inherit shared;
  user = build "user-\${import ./user.nix}" here "read l < \${shared}; echo $l > $out";
  foreign = build "foreign-\${import ./foreign.nix}" "riscv64-linux" "echo > $out";
}`;

beforeAll(async () => {
  world = await createWorld();
  repository = await createRepository(join(world.folder, 'set'), {
    '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
    'default.nix': packageSet(world.folder),
    'shared.nix': '"1"\n',
    'user.nix': '"1"\n',
    'foreign.nix': '"1"\n',
  });
  server = await startServer(world, await configureServer(world, repository.path));
});
afterAll(async () => {
  await server.stop();
  await world.remove();
});

const ekaci = (...args: readonly string[]): Promise<RunResult> =>
  world.ekaci(...args, '--socket', join(world.folder, 'ekaci.socket'));

const said = async (...args: readonly string[]): Promise<string> => {
  const run = await ekaci(...args);
  expect(run, args.join(' ')).toMatchObject({ code: 0 });
  return run.stdout;
};

const tries = async (): Promise<number> =>
  Number(await readFile(join(world.folder, 'tries'), 'utf8').catch(() => '0'));

/** When it is judged, and not to be judged again. */
const judged = (branch: string, conclusion?: string): Promise<ChangeDetail> =>
  until(async () => {
    const change = (await server.changes()).find((one) => one.branch === branch);
    if (change?.state !== 'judged') return null;
    if (conclusion !== undefined && change.conclusion !== conclusion) return null;
    return server.change(change.number);
  });

const rowOf = ({ summary }: ChangeDetail, attr: string) =>
  summary?.jobs[0]?.outcomes.find((row) => row.attr === attr) ?? expect.fail(`no row of ${attr}`);

it('believes for the second change what failed for the first, until an operator says otherwise', {
  timeout: 180_000,
}, async () => {
  await repository.branch('one', { 'shared.nix': '"2"\n' });
  const one = await judged('one');
  expect(one).toMatchObject({ conclusion: 'failure' });
  const atFirst = await tries();
  const drv = rowOf(one, 'shared').drvPath ?? '';

  await repository.branch('two', { 'shared.nix': '"2"\n', 'user.nix': '"2"\n' });
  const two = await judged('two');
  expect(await tries()).toBe(atFirst);
  expect(rowOf(two, 'shared')).toMatchObject({
    kind: 'newly-failing',
    drvPath: drv,
    reason: expect.stringMatching(/^failed before, on \d{4}-\d\d-\d\d \d\d:\d\d UTC: /) as string,
    logTail: rowOf(one, 'shared').logTail,
  });
  expect(rowOf(two, 'user').culprit).toMatchObject({ drvPath: drv });
  const derivation = Derivation.parse(await server.get(`/v1/drvs/${basename(drv)}`));
  expect(derivation.attempts.map(({ state, logPath }) => [state, logPath !== null])).toEqual([
    ['failed', true],
    ['failed', true],
  ]);

  await writeFile(join(world.folder, 'cause-is-gone'), '');
  const cleared = Rebuild.parse(JSON.parse(await said('rebuild', drv, '--json')));
  // With the user of each change.
  expect(cleared.cleared).toBe(3);
  expect(cleared.changes.map(({ branch }) => branch)).toEqual(['one', 'two']);
  const [again, also] = [await judged('one', 'success'), await judged('two', 'success')];
  expect([rowOf(again, 'shared').kind, rowOf(also, 'user').kind]).toEqual([
    'still-succeeding',
    'still-succeeding',
  ]);
  expect(await tries()).toBe(atFirst + 1);
  expect(await said('rebuild', drv)).toMatch(/^There is nothing to try again/);
});

it('tries again what one change shows, and nothing where nothing failed', { timeout: 180_000 }, async () => {
  await rm(join(world.folder, 'cause-is-gone'));
  await repository.branch('three', { 'shared.nix': '"3"\n' });
  const three = await judged('three');
  const change = `${name}#${three.number}`;
  const unknown = await ekaci('rebuild', '--change', change, 'nothing.of.it');
  expect(unknown).toMatchObject({ code: 1, stdout: '' });
  expect(unknown.stderr).toMatch(/^ekaci: ATTRIBUTE_NOT_FOUND: /);
  await writeFile(join(world.folder, 'cause-is-gone'), '');
  expect(await said('rebuild', '--change', change, 'shared')).toBe(
    `Cleared: 2 derivations, to be tried again. Judged again:\n  ${change}  queued\n`,
  );
  expect(rowOf(await judged('three', 'success'), 'user').kind).toBe('still-succeeding');
  expect(await said('rebuild', '--change', change)).toMatch(/^There is nothing to try again/);
  expect(await said('rebuild', '--all-failed')).toMatch(/^There is nothing to try again/);
  for (const wrong of [['--all-failed', 'shared'], ['--failed'], ['shared'], []]) {
    expect(await ekaci('rebuild', ...wrong)).toMatchObject({ code: 2 });
  }
});

it('is neutral where nobody builds for a system, and says which', { timeout: 180_000 }, async () => {
  await repository.branch('foreign', { 'foreign.nix': '"2"\n' });
  const change = await judged('foreign');
  expect(change).toMatchObject({ conclusion: 'neutral' });
  const row = rowOf(change, 'foreign');
  expect(row).toMatchObject({
    kind: 'not-built',
    system: 'riscv64-linux',
    reason: expect.stringMatching(/no builder for the system riscv64-linux/) as string,
  });
  expect(await said('drv', 'why', row.drvPath ?? '')).toMatch(
    /it waits for a builder: no builder for the system/,
  );
});
