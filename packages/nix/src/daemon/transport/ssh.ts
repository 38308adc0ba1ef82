// A daemon on another machine: `ssh host nix-daemon --stdio`.
import { NixDaemonError } from '../daemon-error.ts';
import { type ChildCommand, childTransport } from './child.ts';
import type { DaemonTransport } from './transport.ts';

export interface SshTarget {
  /** A name or address, or an alias of the user's ssh configuration. */
  readonly host: string;
  readonly user?: string;
  readonly port?: number;
  /** Of a private key file. @default those that ssh finds itself */
  readonly identityFile?: string;
  /** The only place where the host's key is looked for. @default those of ssh */
  readonly knownHostsFile?: string;
  /** More arguments for ssh, before the host. */
  readonly sshArgs?: readonly string[];
  /** What runs there, word by word. @default nix-daemon --stdio */
  readonly remoteCommand?: readonly string[];
  readonly connectTimeoutSeconds?: number;
  /** A path, or a name on `env.PATH`. @default ssh */
  readonly program?: string;
  /** The environment of ssh: it needs PATH, HOME, and SSH_AUTH_SOCK where an agent holds the key. */
  readonly env: Readonly<Record<string, string>>;
}

const wellFormed = /^[A-Za-z0-9_.:%@[\]][A-Za-z0-9_.:%@[\]-]*$/;
const plainWord = /^[A-Za-z0-9_./:=@%+,-]+$/;

/** The remote user's shell takes the command apart again. */
const quoteForShell = (word: string): string =>
  plainWord.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

/** Else a blank would begin another file, and a per cent sign something of ssh's (ssh_config(5)). */
const quoteForConfig = (path: string): string => `"${path.replaceAll('%', '%%')}"`;

const destinationOf = ({ host, user }: SshTarget): string => {
  for (const part of [host, user]) {
    // A leading dash would be an option of ssh, one that runs commands among them.
    if (part !== undefined && !wellFormed.test(part)) {
      throw new NixDaemonError('NIX_DAEMON_BAD_REQUEST', `${JSON.stringify(part)} is no name for ssh`);
    }
  }
  return user === undefined ? host : `${user}@${host}`;
};

/** @throws NixDaemonError NIX_DAEMON_BAD_REQUEST for a host or user that ssh would take for something else */
export const sshCommand = (target: SshTarget): ChildCommand => {
  const destination = destinationOf(target);
  const { port, identityFile, knownHostsFile } = target;
  return {
    command: target.program ?? 'ssh',
    args: [
      ...['-a', '-x', '-T'],
      // Nobody is there to be asked.
      ...['-o', 'BatchMode=yes'],
      ...['-o', `ConnectTimeout=${target.connectTimeoutSeconds ?? 10}`],
      // A machine that went away without a word is noticed within a minute.
      ...['-o', 'ServerAliveInterval=15', '-o', 'ServerAliveCountMax=3'],
      ...(port === undefined ? [] : ['-p', String(port)]),
      ...(identityFile === undefined ? [] : ['-i', identityFile, '-o', 'IdentitiesOnly=yes']),
      ...(knownHostsFile === undefined
        ? []
        : [
            '-o',
            `UserKnownHostsFile=${quoteForConfig(knownHostsFile)}`,
            '-o',
            'GlobalKnownHostsFile=/dev/null',
          ]),
      ...(target.sshArgs ?? []),
      '--',
      destination,
      (target.remoteCommand ?? ['nix-daemon', '--stdio']).map(quoteForShell).join(' '),
    ],
    env: target.env,
  };
};

/** @throws NixDaemonError NIX_DAEMON_BAD_REQUEST */
export const sshTransport = (target: SshTarget): DaemonTransport =>
  childTransport(`ssh ${destinationOf(target)}`, sshCommand(target));
