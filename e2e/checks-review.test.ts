// Checks in `ekaci review`: what passes, fails and is refused, in the environment of the system and of shells.
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository } from './testing/repository.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.remove());

/** Its own builder would fail: nothing of a shell is built but its environment, which needs one other package. */
const shell = `let
  package = name: script: more: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];
    PATH = "/usr/bin:/bin";
  } // more);
in package "dev" "exit 1" { GREETING = "from the shell"; TOOL = package "needed" "echo tool > $out" { }; shellHook = "export HOOKED=$GREETING"; } // {
  unbuilt = package "dev" "exit 1" { tool = package "tool" "echo no; exit 1" { }; };
}`;

const configOf = (checks: object): string =>
  JSON.stringify({ jobs: { packages: { file: 'default.nix' } }, checks });

it('runs each in its environment, judges by them, and says why what did not pass did not', {
  timeout: 120_000,
}, async () => {
  const checks = {
    well: { command: 'test "$(cat file)" = text && test -z "$GREETING" && echo wrote > file' },
    shell: {
      shell_nix: true,
      command:
        'test "$HOOKED" = "from the shell" && cat "$TOOL" && cd "$(dirname "$TOOL")" && ls && test "$(ls | wc -l)" = 2',
    },
    ill: { command: 'echo said to the end; exit 7' },
    nowhere: { shell: 'absent', command: 'true' },
    unbuilt: { shell: 'unbuilt', shell_nix: true, command: 'true' },
    hangs: { command: 'sleep 600', timeout_seconds: 1 },
    network: { command: 'true', allow_network: true },
  };
  const files = { 'default.nix': '{ }', file: 'text', 'shell.nix': shell };
  const repository = await createRepository(join(world.folder, 'repository'), {
    ...files,
    '.eka-ci/config.json': configOf({}),
  });
  await repository.branch('change', { '.eka-ci/config.json': configOf(checks) });
  const { status, summary } = await world.review(repository.path, '--head', 'change');
  expect(status).toBe(1);
  expect(summary.conclusion).toBe('failure');
  expect(summary.headline).toContain('5 checks did not pass');
  expect(summary.checks.map(({ name, outcome }) => [name, outcome])).toEqual([
    ['hangs', 'timed-out'],
    ['ill', 'failed'],
    ['network', 'refused'],
    ['nowhere', 'failed'],
    ['shell', 'passed'],
    ['unbuilt', 'failed'],
    ['well', 'passed'],
  ]);
  const byName = Object.fromEntries(summary.checks.map((check) => [check.name, check]));
  const { ill, network, nowhere, unbuilt } = byName;
  expect(ill).toMatchObject({ status: 7, reason: 'it ended with status 7', outputTail: ['said to the end'] });
  expect(network?.reason).toContain("the base's configuration does not allow");
  expect(nowhere?.reason).toMatch(
    /shell absent of the flake cannot be evaluated: there is no file flake\.nix/,
  );

  expect(unbuilt?.reason).toMatch(/^unbuilt of shell\.nix cannot be built because of .*-tool\.drv: /);

  const { well, shell: inShell } = checks;
  const passing = { well, shell: inShell };
  await repository.branch('green', { '.eka-ci/config.json': configOf(passing) });
  const run = await world.ekaci('review', repository.path, '--head', 'green');
  expect(run.code).toBe(0);
  expect(run.stdout).toMatch(/2 checks passed\.[^]*Checks\n[^]*✔ shell {2}passed in [^]*✔ well {2}passed in/);
  expect(run.stderr).toMatch(/running the check well\n[^]*passed check well after/);
});
