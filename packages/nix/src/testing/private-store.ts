// A Nix store of its own for one test: no root needed, no daemon unless asked for, no network, gone afterwards.
import { rmSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { DrvPath } from '@eka-ci/core/ids';
import { type Child, runChild, startChild } from '@eka-ci/process';
import { findNix, type NixInstallation } from '../installation.ts';
import { parseDrvPath } from '../store-path.ts';

export interface PrivateStore {
  readonly nix: NixInstallation;
  /** Holds the store; free for a test's own files. */
  readonly folder: string;
  /** Writes the derivations of one Nix expression, an attribute set of them, and gives their paths by name. */
  instantiate(expression: string): Promise<Record<string, DrvPath>>;
  remove(): Promise<void>;
}

export interface PrivateStoreOptions {
  /** The store is then reached through a daemon of its own. */
  readonly daemon?: boolean;
  /** Lines for nix.conf. */
  readonly config?: string;
}

/**
 * `shell "name" "script" { extra attributes }` is a derivation whose builder is /bin/sh. @default PATH has the usual tools
 */
const shellDerivation = `
  shell = name: script: extra: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];
    PATH = "/usr/bin:/bin";
  } // extra);
`;

const makeWritable = async (folder: string): Promise<void> => {
  await chmod(folder, 0o700);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeWritable(join(folder, entry.name));
  }
};

/** EKA_CI_TEST_NIX names a folder with the programs of another Nix than the one on PATH. */
const environmentOf = (folder: string): Record<string, string> => {
  const path = [process.env['EKA_CI_TEST_NIX'], process.env['PATH']].filter((part) => part !== undefined);
  return {
    PATH: path.join(delimiter),
    NIX_STORE_DIR: join(folder, 'store'),
    NIX_STATE_DIR: join(folder, 'var'),
    NIX_LOG_DIR: join(folder, 'log'),
    NIX_CONF_DIR: join(folder, 'conf'),
    // Alone in its folder, which an evaluation sees.
    NIX_DAEMON_SOCKET_PATH: join(folder, 'daemon', 'socket'),
  };
};

const startDaemon = async (nix: NixInstallation): Promise<Child> => {
  // Without "--option store local" a daemon whose state folder is missing connects to itself for ever.
  const daemon = await startChild({
    command: join(nix.programs.store, '..', 'nix-daemon'),
    args: ['--option', 'store', 'local'],
    env: nix.env,
  });
  daemon.stdout.resume();
  daemon.stderr.resume();
  // Newer ones do not open the store for a question about nothing.
  const nothing = `${nix.storeDir}/${'0'.repeat(32)}-nothing`;
  for (let tries = 0; tries < 200; tries++) {
    const asked = await runChild({
      command: nix.programs.store,
      args: ['--check-validity', '--print-invalid', nothing],
      env: { ...nix.env, NIX_REMOTE: 'daemon' },
    });
    if (asked.code === 0) return daemon;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  daemon.end();
  throw new Error('the private nix-daemon does not answer');
};

/** Nix keeps what substituters answered below the home folder; that one must not come into being, or no build starts. */
const findPrivateNix = async (folder: string, remote: string): Promise<NixInstallation> => {
  const nix = await findNix({ ...environmentOf(folder), NIX_REMOTE: remote });
  return { ...nix, env: { ...nix.env, XDG_CACHE_HOME: join(folder, 'cache') } };
};

export const createPrivateStore = async (options: PrivateStoreOptions = {}): Promise<PrivateStore> => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-store-'));
  for (const name of ['conf', 'daemon']) await mkdir(join(folder, name));
  const config = `sandbox = false\nbuild-users-group =\nsubstituters =\n${options.config ?? ''}\n`;
  await writeFile(join(folder, 'conf', 'nix.conf'), config);
  const direct = await findPrivateNix(folder, 'local');
  // Creates the store and its database, also for a daemon.
  await runChild({ command: direct.programs.store, args: ['--init'], env: direct.env });
  const daemon = options.daemon ? await startDaemon(direct) : null;
  const nix = daemon === null ? direct : await findPrivateNix(folder, 'daemon');
  return {
    nix,
    folder,
    async instantiate(expression) {
      const paths = await runChild({
        command: nix.programs.instantiate,
        args: ['--eval', '--strict', '--json', '--read-write-mode', '--expr', drvPathsOf(expression)],
        env: nix.env,
      });
      if (paths.code !== 0) throw new Error(paths.stderr);
      const byName = Object.entries(JSON.parse(paths.stdout) as Record<string, string>);
      return Object.fromEntries(byName.map(([name, path]) => [name, parseDrvPath(path, nix.storeDir)]));
    },
    async remove() {
      daemon?.end();
      await daemon?.exited;
      await makeWritable(folder);
      rmSync(folder, { recursive: true, force: true });
    },
  };
};

const drvPathsOf = (expression: string): string =>
  `let ${shellDerivation} in builtins.mapAttrs (name: drv: drv.drvPath) (${expression})`;
