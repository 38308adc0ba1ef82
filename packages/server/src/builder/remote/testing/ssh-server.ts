// A real sshd on a port of the loopback for tests: keys of its own, and every login runs what it asks for on another machine.
import { access, chmod, constants, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { type Child, findProgram, runChild, startChild } from '@eka-ci/process';
import type { SecondMachine } from './second-machine.ts';

export interface SshServer {
  readonly port: number;
  readonly user: string;
  readonly identityFile: string;
  /** As a line of the machines file has it. */
  readonly hostKey: string;
  /** Ends every session, and takes no new one. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

const findSshd = (): string | null =>
  findProgram('sshd', `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin`);

/** Where a root's sshd goes without rights. */
const privilegeSeparation = '/run/sshd';

/** Why none can be started here; null where one can. */
export const whyNoSshServer = async (): Promise<string | null> => {
  if (findSshd() === null) return 'sshd (openssh-server) is not installed';
  for (const program of ['ssh', 'ssh-keygen']) {
    if (findProgram(program) === null) return `${program} is not installed`;
  }
  if (process.getuid?.() !== 0) return null;
  return mkdir(privilegeSeparation, { recursive: true, mode: 0o755 }).then(
    () => null,
    (error: unknown) => `${privilegeSeparation} cannot be made (${String(error)})`,
  );
};

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
  });

const makeKey = async (file: string): Promise<string> => {
  const args = ['-q', '-t', 'ed25519', '-N', '', '-C', 'of a test', '-f', file];
  const made = await runChild({ command: 'ssh-keygen', args, env: { PATH: process.env['PATH'] ?? '' } });
  if (made.code !== 0) throw new Error(made.stderr);
  return readFile(`${file}.pub`, 'utf8');
};

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** Those of a connection are in groups of their own. Their ids may be those of others by now, so they must be called sshd. */
const endSessions = async (folder: string): Promise<void> => {
  for (const pid of await readdir(folder)) {
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
    if (name.startsWith('sshd')) process.kill(Number(pid), 'SIGKILL');
    await rm(join(folder, pid));
  }
};

const untilAnswers = async (port: number, server: Child): Promise<void> => {
  for (let tries = 0; tries < 200; tries++) {
    if (await answers(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  server.end();
  throw new Error('the sshd of the test does not answer');
};

/** @param folder is made; only this user may write it and those above, or sshd would not trust it */
export const createSshServer = async (folder: string, machine: SecondMachine): Promise<SshServer> => {
  await mkdir(folder, { mode: 0o700 });
  const [hostKeyFile, identityFile] = [join(folder, 'host'), join(folder, 'identity')];
  const [hostKey, publicKey] = [await makeKey(hostKeyFile), await makeKey(identityFile)];
  const wrapper = join(folder, 'wrapper');
  const { command, args, env } = machine.command(['sh', '-c']);
  const exports = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}`);
  const words = [command, ...args].map(quote).join(' ');
  const sessions = join(folder, 'sessions');
  await mkdir(sessions);
  const lines = [
    '#!/bin/sh',
    `: > ${sessions}/$PPID`,
    ...exports,
    `exec ${words} "$SSH_ORIGINAL_COMMAND"`,
    '',
  ];
  await writeFile(wrapper, lines.join('\n'));
  await chmod(wrapper, 0o755);
  await writeFile(join(folder, 'authorized'), publicKey, { mode: 0o600 });
  const port = await freePort();
  const config = join(folder, 'config');
  await writeFile(
    config,
    [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${hostKeyFile}`,
      `AuthorizedKeysFile ${join(folder, 'authorized')}`,
      `PidFile ${join(folder, 'pid')}`,
      `ForceCommand ${wrapper}`,
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'MaxStartups 100',
      '',
    ].join('\n'),
  );
  const program = findSshd() ?? 'sshd';
  await access(program, constants.X_OK);
  let server: Child | null = null;
  const start = async (): Promise<void> => {
    server = await startChild({ command: program, args: ['-D', '-e', '-f', config], env: {} });
    server.stdout.resume();
    server.stderr.resume();
    await untilAnswers(port, server);
  };
  await start();
  return {
    port,
    user: userInfo().username,
    identityFile,
    hostKey: Buffer.from(hostKey).toString('base64'),
    start,
    async stop() {
      server?.end('SIGKILL');
      await server?.exited;
      await endSessions(sessions);
    },
  };
};
