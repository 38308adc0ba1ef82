// `eka-ci-server sandbox-runner [FOLDER]`: runs one check, or evaluates one tree, for a server that is at the other end of
// standard input and output, its parent or a connection that systemd accepted.
import { closeSync, fstatSync, readdirSync, readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { serveRunner } from '../sandbox/runner.ts';

const isConnection = (descriptor: number): boolean => {
  const stats = fstatSync(descriptor);
  return stats.isSocket() || stats.isFIFO();
};

const isOneSocket = (): boolean => {
  const [input, output] = [fstatSync(0), fstatSync(1)];
  return input.dev === output.dev && input.ino === output.ino;
};

/** Of our own making: the process's standard output would block this thread, and with it every watch and timer. */
const openStreams = (): { readonly input: Socket; readonly output: Socket } => {
  if (isOneSocket()) {
    const both = new Socket({ fd: 0, allowHalfOpen: true });
    return { input: both, output: both };
  }
  return { input: new Socket({ fd: 0, writable: false }), output: new Socket({ fd: 1, readable: false }) };
};

/** O_CLOEXEC of fcntl(2), as /proc/self/fdinfo writes it: in octal. */
const closedOnExecution = 0o2000000;

/** What whoever started us left open would be open for the command as well. Node's own are closed on execution. */
const closeInherited = (): void => {
  for (const name of readdirSync('/proc/self/fd')) {
    const descriptor = Number(name);
    try {
      const flags = /^flags:\s+([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${name}`, 'latin1'))?.[1];
      if (descriptor <= 2 || flags === undefined) continue;
      if ((Number.parseInt(flags, 8) & closedOnExecution) === 0) closeSync(descriptor);
    } catch {
      // The one that listed them has gone.
    }
  }
};

export const runSandboxRunner = async ([folder = tmpdir()]: readonly string[]): Promise<void> => {
  closeInherited();
  if (![0, 1].every(isConnection)) {
    process.stderr.write(
      'eka-ci-server sandbox-runner: it is started by a server, or by a socket unit of systemd\n',
    );
    process.exitCode = 2;
    return;
  }
  const { input, output } = openStreams();
  output.on('error', () => {}); // The server has gone, which its closed input tells as well.
  // The unit is stopped: as if the server had gone, so that nothing stays behind.
  process.once('SIGTERM', () => input.destroy());
  const { env } = process;
  await serveRunner({ input, output, folder, env, searchPath: env['PATH'] ?? '' });
};
