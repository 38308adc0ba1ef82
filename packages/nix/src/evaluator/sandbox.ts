// Puts an evaluator into bubblewrap: it sees the system's programs, the tree at one constant path, and the store.
import { existsSync, mkdtempSync, realpathSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  filteredArchitecture,
  findProgram,
  runChild,
  seccompFilter,
  showAsIs,
  showTarget,
  withFilter,
} from '@eka-ci/process';
import type { NixInstallation } from '../installation.ts';
import { lookupFiles, systemDirectories } from '../system-programs.ts';

/** Where every tree is inside the sandbox, so that nothing of its place on this machine gets into derivations. */
const treeInside = '/build/source';
const homeInside = '/build/home';
const confInside = '/build/conf';

export interface ConfinementOptions {
  readonly tree: string;
  readonly allowNetwork: boolean;
  readonly allowImportFromDerivation: boolean;
  readonly sandbox: 'required' | 'preferred';
  /** Directories that the evaluator must be able to write, beside its store. */
  readonly writable: readonly string[];
  /** Of each of the two folders in memory that every program there may write. @default half of the memory */
  readonly scratchBytes?: number;
}

/** How to start an evaluator's processes for one tree. */
export interface Confinement {
  /** The tree as those processes see it. */
  readonly tree: string;
  /** The same, or a folder of it that holds nothing of others: code asks the parent of its tree what kind of thing that is. */
  readonly readable: string;
  readonly env: Readonly<Record<string, string>>;
  /** The command that runs `command` confined. */
  wrap(command: readonly string[]): readonly string[];
  dispose(): Promise<void>;
}

export type Confining =
  | { readonly kind: 'confined'; readonly confinement: Confinement }
  | { readonly kind: 'unconfined'; readonly confinement: Confinement; readonly warning: string }
  | { readonly kind: 'refused'; readonly reason: string };

const shownDirectories = [...systemDirectories, '/run/current-system', '/nix/store'];
const shownForNetwork = [...lookupFiles, '/etc/static'];

/** A Nix that is installed outside of the system's directories and of the store: its programs and libraries. */
const showPrograms = (program: string): string[] => {
  const real = realpathSync(program);
  const prefix = dirname(dirname(real));
  const folders = ['bin', 'lib', 'lib64', 'libexec', 'share/nix'].map((name) => join(prefix, name));
  const wanted = new Set([dirname(program), ...folders]);
  const isShown = (path: string): boolean => shownDirectories.some((shown) => path.startsWith(`${shown}/`));
  return [...wanted]
    .filter((path) => !isShown(path) && existsSync(path))
    .flatMap((path) => ['--ro-bind', path, path]);
};

/**
 * Nix 2.8 takes `{ type = "path"; path = "/nix/store"; rev = …; }` for locked, also in a flake, and copies what it names.
 * What it cannot read in there ends that at once; nothing that is evaluated needs this folder of the store's own.
 */
const keepFromCopies = ({ storeDir }: NixInstallation): string[] => {
  const links = join(storeDir, '.links');
  return existsSync(links) ? ['--perms', '0000', '--tmpfs', links] : [];
};

const showStore = (
  nix: NixInstallation,
  { allowImportFromDerivation, writable }: ConfinementOptions,
): string[] => {
  const write = (path: string): string[] => ['--bind', path, path];
  const extra = [...keepFromCopies(nix), ...writable.flatMap(write)];
  if (nix.access === 'daemon') {
    const socket = dirname(nix.daemonSocket);
    return ['--ro-bind', nix.storeDir, nix.storeDir, '--ro-bind', socket, socket, ...extra];
  }
  const logs = nix.env['NIX_LOG_DIR'] ?? '/nix/var/log/nix';
  const builds = allowImportFromDerivation && existsSync(logs) ? write(logs) : [];
  return [...write(nix.storeDir), ...write(nix.stateDir), ...builds, ...extra];
};

const showNetwork = (nix: NixInstallation): string[] => {
  const certificates = nix.env['NIX_SSL_CERT_FILE'];
  const files = certificates === undefined ? shownForNetwork : [...shownForNetwork, certificates];
  return files.flatMap(showTarget);
};

const namespaces = ['user', 'pid', 'ipc', 'uts', 'cgroup-try'].map((name) => `--unshare-${name}`);

const showScratch = ({ scratchBytes }: ConfinementOptions): string[] => {
  const size = scratchBytes === undefined ? [] : ['--size', String(scratchBytes)];
  return ['/tmp', homeInside].flatMap((path) => [...size, '--tmpfs', path]);
};

/** The arguments of bwrap before the command. */
export const sandboxArguments = (nix: NixInstallation, options: ConfinementOptions): string[] =>
  [
    namespaces,
    options.allowNetwork ? [] : ['--unshare-net'],
    ['--die-with-parent', '--new-session', '--cap-drop', 'ALL'],
    shownDirectories.flatMap(showAsIs),
    // Nix's garbage collector reads its stacks' bounds from /proc; in its own process namespace it shows no other.
    ['--proc', '/proc', '--dev', '/dev', ...showScratch(options), '--dir', confInside],
    showPrograms(nix.programs.instantiate),
    nix.programs.evalJobs === null ? [] : showPrograms(nix.programs.evalJobs),
    showStore(nix, options),
    options.allowNetwork ? showNetwork(nix) : [],
    ['--ro-bind', options.tree, treeInside, '--remount-ro', '/', '--chdir', treeInside],
  ].flat();

/** What evaluated code may read with `getEnv`, and where Nix finds no configuration: it may hold access tokens. */
const childEnvironment = (nix: NixInstallation, home: string, conf: string): Record<string, string> => {
  const { TMPDIR: _ours, NIX_CONFIG: _settings, ...env } = nix.env;
  const remote = nix.access === 'daemon' ? { NIX_REMOTE: env['NIX_REMOTE'] ?? 'daemon' } : {};
  return {
    ...env,
    ...remote,
    NIX_PATH: '',
    NIX_CONF_DIR: conf,
    NIX_USER_CONF_FILES: '',
    HOME: home,
    XDG_CONFIG_HOME: home,
    XDG_CACHE_HOME: home,
    // Nix asks for the user's name; there is no list of users in the sandbox.
    USER: 'eka-ci',
  };
};

/**
 * Null where there is no filter for this machine; and where this process builds what is imported, for Nix's own sandbox
 * is made of what the filter denies.
 */
const makeFilter = (nix: NixInstallation, options: ConfinementOptions): Uint8Array | null => {
  const buildsHere = options.allowImportFromDerivation && nix.access !== 'daemon';
  const architecture = filteredArchitecture();
  return buildsHere || architecture === null
    ? null
    : seccompFilter(architecture, { denyHiddenMemory: false });
};

const temporaryFolder = ({ env }: NixInstallation): string => env['TMPDIR'] ?? tmpdir();

const confine = async (
  bwrap: string,
  nix: NixInstallation,
  options: ConfinementOptions,
): Promise<Confinement> => {
  const bare = [bwrap, ...sandboxArguments(nix, options)];
  const confinement = {
    tree: treeInside,
    readable: dirname(treeInside),
    env: {
      ...childEnvironment(nix, homeInside, confInside),
      TMPDIR: '/tmp',
      // What was fetched may hold a repository, whose configuration names programs: without network there is no other
      // for `fetchGit`, and so git finds none.
      ...(options.allowNetwork ? {} : { GIT_DIR: '/dev/null' }),
    },
  };
  const bytes = makeFilter(nix, options);
  if (bytes === null) {
    return { ...confinement, wrap: (command) => [...bare, '--', ...command], dispose: async () => {} };
  }
  const folder = await mkdtemp(join(temporaryFolder(nix), 'eka-ci-evaluation-'));
  const filter = join(folder, 'filter');
  await writeFile(filter, bytes);
  const filtered = withFilter({ filter }, bare);
  return {
    ...confinement,
    wrap: (command) => [...filtered, '--', ...command],
    dispose: () => rm(folder, { recursive: true, force: true }),
  };
};

const goWithout = async (nix: NixInstallation, options: ConfinementOptions): Promise<Confinement> => {
  const folder = mkdtempSync(join(temporaryFolder(nix), 'eka-ci-evaluation-'));
  const [home, conf] = [join(folder, 'home'), join(folder, 'conf')];
  // Nix compares what it may read with what links lead to.
  const tree = realpathSync(options.tree);
  await Promise.all([mkdir(home), mkdir(conf)]);
  return {
    ...{ tree, readable: tree },
    env: childEnvironment(nix, home, conf),
    wrap: (command) => command,
    dispose: () => rm(folder, { recursive: true, force: true }),
  };
};

/** Null when Nix runs in the sandbox, else why not. */
const tryConfinement = async (nix: NixInstallation, confinement: Confinement): Promise<string | null> => {
  const [command = '', ...args] = confinement.wrap([nix.programs.instantiate, '--version']);
  const tried = await runChild({
    ...{ command, args, env: confinement.env },
    ...{ timeoutMs: 10_000, killGraceMs: 500, leavesGroup: true },
  });
  if (tried.code === 0) return null;
  return tried.timedOut
    ? 'bubblewrap hangs'
    : tried.stderr.trim().slice(0, 500) || `bubblewrap ended with status ${tried.code}`;
};

export interface Sandbox {
  prepare(options: ConfinementOptions): Promise<Confining>;
}

/** Whether bubblewrap works here is tried once, at the first use, and again only after it did not. */
export const createSandbox = (nix: NixInstallation): Sandbox => {
  let works = false;

  const prepareConfined = async (options: ConfinementOptions): Promise<Confinement | string> => {
    const bwrap = findProgram('bwrap', nix.env['PATH']);
    if (bwrap === null) return 'bubblewrap (bwrap) is not installed';
    const confinement = await confine(bwrap, nix, options);
    const reason = works ? null : await tryConfinement(nix, confinement);
    works = reason === null;
    if (reason !== null) await confinement.dispose();
    return reason ?? confinement;
  };

  return {
    prepare: async (options) => {
      const confinement = await prepareConfined(options);
      if (typeof confinement !== 'string') return { kind: 'confined', confinement };
      if (options.sandbox === 'required') return { kind: 'refused', reason: confinement };
      return { kind: 'unconfined', confinement: await goWithout(nix, options), warning: confinement };
    },
  };
};
