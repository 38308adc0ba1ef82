// Another machine builds for the server, through a real sshd: what only it can build, also when it goes away in the middle.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findNix } from '@eka-ci/nix/installation';
import { Builders } from '@eka-ci/protocol/builder';
import {
  createSecondMachine,
  whyNoSecondMachine,
} from '@eka-ci/server/builder/remote/testing/second-machine';
import {
  createSshServer,
  type SshServer,
  whyNoSshServer,
} from '@eka-ci/server/builder/remote/testing/ssh-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWorld, type World } from './testing/ekaci.ts';
import { createRepository, type Repository } from './testing/repository.ts';
import { configureServer, runServer, startServer, type TestServer, until } from './testing/server.ts';

const whyNot = (await whyNoSecondMachine()) ?? (await whyNoSshServer());

/** `far` builds where this machine cannot, with an input that this machine makes. */
const packageSet = (held: string): string => `let
  shell = system: name: derivation {
    inherit system name near; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
    args = [ "-c" (builtins.readFile (./. + "/\${name}.sh")) ];
  };
  near = derivation {
    name = "near"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo near > $out" ];
  };
in { inherit near; far = shell "riscv32-linux" "far"; held = shell "riscv32-linux" "held"; }
# ${held}
`;

const token = 'only-for-this-test-0123456789abcdef';

describe.skipIf(whyNot !== null)(`a remote builder${whyNot === null ? '' : ` (skipped: ${whyNot})`}`, () => {
  let world: World;
  let repository: Repository;
  let ssh: SshServer;
  let server: TestServer;
  let machines: string;
  let held: string;

  beforeAll(async () => {
    const made = await createWorld();
    machines = join(made.folder, 'machines');
    held = join(made.folder, 'held');
    const env = {
      ...made.env,
      NIX_SSHOPTS: '-F none',
      EKA_CI_BUILDERS__MACHINES_FILE: machines,
      EKA_CI_WEB__METRICS_TOKEN: token,
    };
    world = { ...made, env };
    const nix = await findNix(world.env);
    const far = await createSecondMachine(
      { nix, folder: world.folder },
      { config: 'extra-platforms = riscv32-linux' },
    );
    ssh = await createSshServer(join(world.folder, 'ssh'), far);
    await writeFile(
      machines,
      `# one\nssh-ng://${ssh.user}@127.0.0.1:${ssh.port}?remote-program=${far.daemonProgram}&remote-store=local riscv32-linux ${ssh.identityFile} 2 1 - - ${ssh.hostKey}\n`,
    );
    repository = await createRepository(join(world.folder, 'set'), {
      'default.nix': packageSet(held),
      'far.sh': 'cat $near > $out',
      'held.sh': 'echo 1 > $out',
      '.eka-ci/config.json': JSON.stringify({ jobs: { packages: { file: 'default.nix' } } }),
    });
  });
  afterAll(async () => {
    await server.stop();
    await ssh.stop();
    await world.remove();
  });

  const builders = async () => Builders.parse(await server.get('/v1/builders')).builders;
  const remote = async () => (await builders()).find(({ isLocal }) => !isLocal);
  const judged = (branch: string) =>
    until(async () => {
      const change = (await server.changes()).find((one) => one.branch === branch);
      return change?.state === 'judged' ? change : null;
    });
  const metric = async (name: string): Promise<number> => {
    const answer = await fetch(`${server.address}/metrics`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const line = (await answer.text()).split('\n').find((one) => one.startsWith(name));
    return Number(line?.split(' ').at(-1));
  };

  it('must be listed where somebody says it is', { timeout: 60_000 }, async () => {
    const configFile = await configureServer(world, repository.path);
    const elsewhere = { ...world, env: { ...world.env, EKA_CI_BUILDERS__MACHINES_FILE: '/no/machines' } };
    const ended = await runServer(elsewhere, configFile);
    expect(ended).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/machines file \/no\/machines does not exist/) as string,
    });
    server = await startServer(world, configFile);
  });

  it('builds what this machine cannot, and the output is here afterwards', { timeout: 50_000 }, async () => {
    await repository.branch('far', { 'far.sh': 'echo built far away; cat $near > $out; echo 2 >> $out' });
    expect(await judged('far')).toMatchObject({ conclusion: 'success' });
    const name = `127.0.0.1:${ssh.port}`;
    expect(await remote()).toMatchObject({
      name,
      systems: ['riscv32-linux', 'builtin'],
      slots: { build: 2 },
      outage: null,
    });
    expect(await metric(`eka_ci_builder_up{builder="${name}"}`)).toBe(1);
    expect(
      await metric(`eka_ci_builder_copied_bytes_total{builder="${name}",direction="to"}`),
    ).toBeGreaterThan(0);
    expect(
      await metric(`eka_ci_builder_copied_bytes_total{builder="${name}",direction="from"}`),
    ).toBeGreaterThan(0);
  });

  it('goes away in the middle of a build, and is built on again when it is back', {
    timeout: 90_000,
  }, async () => {
    const began = (): Promise<string> => readFile(held, 'utf8').catch(() => '');
    await repository.branch('held', {
      'held.sh': `echo began >> ${held}; while [ ! -e ${held}.leave ]; do sleep 0.1; done; echo 2 > $out`,
    });
    await until(async () => ((await began()) === '' ? null : true));
    await ssh.stop();
    const outage = await until(async () => (await remote())?.outage ?? null);
    expect(outage.reason).toMatch(/lost|does not answer/);
    await writeFile(`${held}.leave`, '');
    await ssh.start();
    expect(await judged('held')).toMatchObject({ conclusion: 'success' });
    expect(await began()).toBe('began\nbegan\n');
    expect((await remote())?.outage).toBeNull();
  });

  it('is no builder any more when its line is gone', { timeout: 60_000 }, async () => {
    await writeFile(machines, '# none\n');
    await until(async () => ((await remote()) === undefined ? true : null));
    expect(await builders()).toHaveLength(1);
  });
});
