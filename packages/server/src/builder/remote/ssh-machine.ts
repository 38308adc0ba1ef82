// The way to a machine: ssh, told by its line in the machines file.
import { createHash } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NixDaemonError } from '@eka-ci/nix/daemon/daemon-error';
import { type SshTarget, sshTransport } from '@eka-ci/nix/daemon/transport/ssh';
import type { DaemonTransport } from '@eka-ci/nix/daemon/transport/transport';
import type { Machine } from '../../config/machine.ts';

export interface SshDeps {
  /** The server's own environment; ssh gets little of it. */
  readonly env: NodeJS.ProcessEnv;
  /** Absolute; for files that ssh reads. Made where it is not there, for this user alone. */
  readonly folder: string;
}

const passedOn = ['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'SSH_AUTH_SOCK', 'TMPDIR'] as const;

const sshEnvironment = (from: NodeJS.ProcessEnv): Record<string, string> =>
  Object.fromEntries(
    passedOn.flatMap((name) => {
      const value = from[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );

/** As Nix splits it: there is no quoting. */
const userOptions = (from: NodeJS.ProcessEnv): string[] =>
  (from['NIX_SSHOPTS'] ?? '').split(/\s+/).filter((word) => word !== '');

const remoteCommandOf = ({ remoteProgram, remoteStore }: Machine): readonly string[] => [
  ...(remoteProgram ?? ['nix-daemon']),
  '--stdio',
  ...(remoteStore === null ? [] : ['--store', remoteStore]),
];

/** Looked up by a name of ours: whatever alias, address or port leads there, it has this one key. */
const hostKeyOptions = [
  '-o',
  'HostKeyAlias=machine',
  '-o',
  'StrictHostKeyChecking=yes',
  '-o',
  'CheckHostIP=no',
];

const sshTargetOf = (machine: Machine, { env, folder }: SshDeps): SshTarget => {
  const { host, user, port, identityFile, hostKey, compress } = machine;
  const id = createHash('sha256').update(`${host} ${hostKey}`).digest('hex').slice(0, 32);
  return {
    host,
    ...(user !== null && { user }),
    ...(port !== null && { port }),
    ...(identityFile !== null && { identityFile }),
    ...(hostKey !== null && { knownHostsFile: join(folder, `known-hosts-${id}`) }),
    sshArgs: [...(compress ? ['-C'] : []), ...(hostKey === null ? [] : hostKeyOptions), ...userOptions(env)],
    remoteCommand: remoteCommandOf(machine),
    env: sshEnvironment(env),
  };
};

/** Whole at every moment: another connection may be reading it. */
const writeKnownHosts = async (file: string, hostKey: string, { folder }: SshDeps): Promise<void> => {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const written = `${file}.${process.pid}-${process.hrtime.bigint()}`;
    await writeFile(written, `machine ${hostKey}\n`, { mode: 0o600 });
    await rename(written, file);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new NixDaemonError(
      'NIX_DAEMON_UNREACHABLE',
      `the key of its host cannot be written for ssh: ${why}`,
      {
        cause,
      },
    );
  }
};

/** @throws NixDaemonError NIX_DAEMON_BAD_REQUEST for a host or user that ssh would take for something else */
export const sshMachineTransport = (machine: Machine, deps: SshDeps): DaemonTransport => {
  const target = sshTargetOf(machine, deps);
  const transport = sshTransport(target);
  const { hostKey } = machine;
  const { knownHostsFile } = target;
  if (hostKey === null || knownHostsFile === undefined) return transport;
  return {
    name: transport.name,
    async open(signal) {
      // Each time: somebody may have tidied up.
      await writeKnownHosts(knownHostsFile, hostKey, deps);
      return transport.open(signal);
    },
  };
};
