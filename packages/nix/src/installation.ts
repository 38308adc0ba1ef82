// Finds the Nix that is at hand: its programs, its store, how that store is reached, and the environment its
// children get.
import { accessSync, constants } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findProgram, runChild } from '@eka-ci/process';

export interface NixInstallation {
  readonly programs: {
    readonly instantiate: string;
    readonly store: string;
    /** Null where it is not installed. */
    readonly evalJobs: string | null;
  };
  /** As printed by the programs, for example `2.8.0`. */
  readonly version: string;
  /** The directory in every store path's name, for example `/nix/store`. */
  readonly storeDir: string;
  readonly stateDir: string;
  readonly confDir: string;
  /** `direct`: this user writes the store itself; `daemon`: a daemon does, asked over its socket. */
  readonly access: 'direct' | 'daemon';
  readonly daemonSocket: string;
  /**
   * The environment of a Nix child that builds or is asked: an allow-list, `NIX_PATH` empty. It leads to the user's own
   * settings, which may hold access tokens: evaluation gets less.
   */
  readonly env: Readonly<Record<string, string>>;
}

export class NixNotFoundError extends Error {
  readonly code = 'NIX_NOT_FOUND';
  constructor(detail: string, cause?: unknown) {
    super(
      `no usable Nix was found (${detail}). Install Nix 2.8 or newer: on Debian and Ubuntu "apt-get install nix-bin", ` +
        'on macOS and other systems the installer from nixos.org; on NixOS it is there already (check PATH).',
      { cause },
    );
    this.name = 'NixNotFoundError';
  }
}

const passedOn = [
  'PATH',
  'NIX_STORE_DIR',
  'NIX_STATE_DIR',
  'NIX_LOG_DIR',
  'NIX_CONF_DIR',
  'NIX_DATA_DIR',
  'NIX_REMOTE',
  'NIX_DAEMON_SOCKET_PATH',
  'NIX_SSL_CERT_FILE',
  'NIX_CONFIG',
  'TMPDIR',
] as const;

/** Where Nix would look: the home folder that builders must not see is where the user's own settings are. */
const userConfFiles = (from: NodeJS.ProcessEnv): Record<string, string> => {
  const named = from['NIX_USER_CONF_FILES'];
  if (named !== undefined) return { NIX_USER_CONF_FILES: named };
  const home = from['HOME'];
  const folder = from['XDG_CONFIG_HOME'] ?? (home === undefined ? undefined : join(home, '.config'));
  return folder === undefined ? {} : { NIX_USER_CONF_FILES: join(folder, 'nix', 'nix.conf') };
};

const nixEnvironment = (from: NodeJS.ProcessEnv): Record<string, string> => {
  const cache = from['XDG_CACHE_HOME'] ?? join(from['HOME'] ?? tmpdir(), '.cache');
  // With no cache of its own a root Nix makes /homeless-shelter, and then refuses every unsandboxed build.
  const env: Record<string, string> = {
    LANG: 'C.UTF-8',
    NIX_PATH: '',
    HOME: '/homeless-shelter',
    XDG_CACHE_HOME: cache,
    ...userConfFiles(from),
  };
  for (const name of passedOn) {
    const value = from[name];
    if (value !== undefined && value !== '') env[name] = value;
  }
  return env;
};

const mayWrite = (folder: string): boolean => {
  try {
    accessSync(folder, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
};

/**
 * Looks for Nix on `PATH` and asks it for its version and store.
 * @throws NixNotFoundError when a program is missing or does not answer
 */
export const findNix = async (from: NodeJS.ProcessEnv): Promise<NixInstallation> => {
  const env = nixEnvironment(from);
  const instantiate = findProgram('nix-instantiate', env['PATH']);
  if (instantiate === null) throw new NixNotFoundError('nix-instantiate is not on PATH');
  const store = join(dirname(instantiate), 'nix-store');
  const stateDir = env['NIX_STATE_DIR'] ?? '/nix/var/nix';
  const daemonSocket = env['NIX_DAEMON_SOCKET_PATH'] ?? join(stateDir, 'daemon-socket', 'socket');
  const asked = await runChild({
    command: instantiate,
    args: ['--eval', '--expr', '"${builtins.nixVersion} ${toString builtins.storeDir}"'],
    env,
    timeoutMs: 30_000,
  });
  const answer = /^"(?<version>\S+) (?<storeDir>\S+)"$/.exec(asked.stdout.trim())?.groups;
  if (answer?.['version'] === undefined || answer['storeDir'] === undefined) {
    throw new NixNotFoundError(`nix-instantiate answered: ${asked.stderr.trim() || `status ${asked.code}`}`);
  }
  const remote = env['NIX_REMOTE'] ?? '';
  const direct = remote === '' || remote === 'auto' ? mayWrite(stateDir) : !/^(daemon|unix:)/.test(remote);
  return {
    programs: { instantiate, store, evalJobs: findProgram('nix-eval-jobs', env['PATH']) },
    version: answer['version'],
    storeDir: answer['storeDir'],
    stateDir,
    confDir: env['NIX_CONF_DIR'] ?? '/etc/nix',
    access: direct ? 'direct' : 'daemon',
    daemonSocket,
    env,
  };
};
