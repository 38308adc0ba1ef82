// The whole way to a machine: its line, ssh, a real sshd, and the Nix daemon behind it.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DrvPath } from '@eka-ci/core/ids';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseMachinesFile } from '../../config/machines-file.ts';
import { describeBuilder } from '../builder.contract.ts';
import { type OpenDaemon, openNixDaemon } from '../nix-daemon/open-daemon.ts';
import type { RemoteBuilder } from '../remote-builder.ts';
import { createMachineOpener } from './open-machine.ts';
import { createSecondMachine, whyNoSecondMachine } from './testing/second-machine.ts';
import { createSshServer, type SshServer, whyNoSshServer } from './testing/ssh-server.ts';

const whyNot = (await whyNoSecondMachine()) ?? (await whyNoSshServer());
const system = process.arch === 'arm64' ? 'aarch64-linux' : 'x86_64-linux';

/** The process with this id, or what it has become: a zombie counts as gone. */
const isRunning = (pid: number): boolean => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
};

interface Surroundings {
  readonly store: PrivateStore;
  readonly daemon: OpenDaemon;
  readonly server: SshServer;
  /** Of a line of the machines file. */
  readonly open: (line: string) => RemoteBuilder;
  readonly line: string;
  readonly sshFolder: string;
  remove(): Promise<void>;
}

const surround = async (): Promise<Surroundings> => {
  const store = await createPrivateStore();
  const daemon = await openNixDaemon(store.nix);
  if (daemon.kind !== 'open') throw new Error(daemon.why);
  const far = await createSecondMachine(store);
  const server = await createSshServer(join(store.folder, 'ssh'), far);
  const sshFolder = join(store.folder, 'known %h');
  // Nothing of whoever runs the test.
  const env = { PATH: process.env['PATH'], HOME: store.folder, NIX_SSHOPTS: '-F none' };
  const openMachine = createMachineOpener({ local: daemon.store, system, ssh: { env, folder: sshFolder } });
  const builders: RemoteBuilder[] = [];
  return {
    store,
    daemon,
    server,
    sshFolder,
    line: `ssh-ng://${server.user}@127.0.0.1:${server.port}?remote-program=${far.daemonProgram}&remote-store=local - ${server.identityFile} 4 1 big-parallel - ${server.hostKey}`,
    open(line) {
      const { machines, problems } = parseMachinesFile(line);
      const [machine] = machines;
      if (machine === undefined) throw new Error(JSON.stringify(problems));
      const builder = openMachine(machine);
      builders.push(builder);
      return builder;
    },
    async remove() {
      for (const builder of builders) await builder.close();
      await server.stop();
      await daemon.close();
      await store.remove();
    },
  };
};

describe.skipIf(whyNot !== null)(
  `a machine through ssh${whyNot === null ? '' : ` (skipped: ${whyNot})`}`,
  () => {
    describeBuilder('through a real sshd', async () => {
      const { store, open, line, remove } = await surround();
      return { store: { ...store, remove }, builder: open(line), outlivesBuilders: false };
    });

    describe('and its line', () => {
      let around: Surroundings;
      beforeAll(async () => {
        around = await surround();
      });
      afterAll(() => around.remove());

      const check = (builder: RemoteBuilder): Promise<string | null> =>
        builder.check(new AbortController().signal);
      const drv = async (script: string): Promise<DrvPath> => {
        const name = `it-${randomBytes(4).toString('hex')}`;
        return (await around.store.instantiate(`{ it = shell "${name}" ''${script}'' {}; }`))['it']!;
      };
      const build = (builder: RemoteBuilder, drvPath: DrvPath) =>
        builder.build(
          { drvPath, outputs: [], silenceTimeoutMs: 60_000, maxDurationMs: 60_000, maxLogBytes: 1e6 },
          { log() {}, phase() {} },
          new AbortController().signal,
        );

      it('lead there, with a key of the host that only this user can change', async () => {
        expect(await check(around.open(around.line))).toBeNull();
        const files = await readdir(around.sshFolder);
        expect(files).toHaveLength(1);
        const [folder, file] = [around.sshFolder, join(around.sshFolder, files[0]!)];
        expect((await stat(folder)).mode & 0o777).toBe(0o700);
        expect((await stat(file)).mode & 0o777).toBe(0o600);
      });

      it('do not lead to another host, or past a lock', async () => {
        const { line, server, store } = around;
        const otherKey = (await readFile(`${server.identityFile}.pub`)).toString('base64');
        expect(await check(around.open(line.replace(server.hostKey, otherKey)))).toMatch(
          /^it does not answer: .*Host key verification failed.*last field/,
        );
        const strange = join(store.folder, 'strange');
        await writeFile(strange, 'no key\n', { mode: 0o600 });
        expect(await check(around.open(line.replace(server.identityFile, strange)))).toMatch(
          /Permission denied.*third field/,
        );
        expect(
          await check(around.open(line.replace(/remote-program=[^&]*/, 'remote-program=/no/nix-daemon'))),
        ).toMatch(/^it does not answer: .*\/no\/nix-daemon/);
      });

      it('ends what a server that was killed left building there', async () => {
        const { store, line, sshFolder } = around;
        const pids = join(store.folder, 'pids');
        const drvPath = await drv(`sleep 300 & echo $$ $! > ${pids}; sleep 300`);
        const here = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href);
        const program = `
        const { findNix } = await import(${JSON.stringify(import.meta.resolve('@eka-ci/nix/installation'))});
        const { openNixDaemon } = await import(${here('../nix-daemon/open-daemon.ts')});
        const { createMachineOpener } = await import(${here('open-machine.ts')});
        const { parseMachinesFile } = await import(${here('../../config/machines-file.ts')});
        const local = (await openNixDaemon(await findNix(process.env))).store;
        const ssh = { env: process.env, folder: ${JSON.stringify(sshFolder)} };
        const [machine] = parseMachinesFile(${JSON.stringify(line)}).machines;
        await createMachineOpener({ local, system: ${JSON.stringify(system)}, ssh })(machine).build(
          { drvPath: ${JSON.stringify(drvPath)}, outputs: [], silenceTimeoutMs: 3e5, maxDurationMs: 3e5, maxLogBytes: 1e6 },
          { log() {}, phase() {} }, new AbortController().signal);`;
        const killed = spawn(process.execPath, ['--input-type=module', '--eval', program], {
          env: { ...store.nix.env, NIX_SSHOPTS: '-F none', HOME: store.folder },
          stdio: 'inherit',
        });
        const read = (): Promise<string> => readFile(pids, 'utf8').catch(() => '');
        await expect.poll(read, { timeout: 20_000 }).toMatch(/\n$/);
        killed.kill('SIGKILL');
        const builders = (await read()).trim().split(' ').map(Number);
        await expect.poll(() => builders.filter(isRunning), { timeout: 20_000 }).toEqual([]);
      });

      it('leads to one that goes away in the middle of a build, and comes back', async () => {
        const { server, store } = around;
        const builder = around.open(around.line);
        const begun = join(store.folder, 'begun');
        const building = build(builder, await drv(`echo > ${begun}; sleep 300`));
        await expect.poll(() => readFile(begun, 'utf8').catch(() => null), { timeout: 20_000 }).toBe('\n');
        await server.stop();
        expect(await building).toMatchObject({ kind: 'failed', cause: 'lost-builder' });
        expect(await check(builder)).toMatch(/Connection refused/);
        await server.start();
        expect(await check(builder)).toBeNull();
        expect(await build(builder, await drv('echo > $out'))).toMatchObject({ kind: 'built' });
      });
    });
  },
);
