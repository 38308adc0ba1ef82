// Runners as systemd starts them for a socket unit with Accept=yes: a process for each connection.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../eka-ci-server.mjs', import.meta.url));

const nobody = { uid: 65_534, gid: 65_534 };
/** A user of its own, where we may choose one that can read the program. */
export const otherUser =
  process.getuid?.() === 0 && spawnSync(process.execPath, [program, '--version'], nobody).status === 0
    ? nobody
    : null;

export interface RunnersAsked {
  readonly socketPath: string;
  /** Parent of the copies of trees. */
  readonly copies: string;
  readonly env: NodeJS.ProcessEnv;
  /** @default ours */
  readonly user?: typeof otherUser;
}

export interface ServedRunners {
  /** How many there were so far. */
  readonly started: () => number;
  /** Those that have not gone. */
  readonly running: ReadonlySet<ChildProcess>;
  /** They are waited for: each ends with its connection. */
  close(): Promise<void>;
}

/** Each gets its connection as input and output. */
export const serveRunners = async ({
  socketPath,
  copies,
  env,
  user,
}: RunnersAsked): Promise<ServedRunners> => {
  const running = new Set<ChildProcess>();
  let started = 0;
  const onConnection = (socket: Socket): void => {
    const runner = spawn(process.execPath, [program, 'sandbox-runner', copies], {
      stdio: [socket, socket, 'inherit'],
      env,
      ...user,
    });
    running.add(runner);
    started += 1;
    runner.once('spawn', () => socket.destroy());
    runner.once('exit', () => running.delete(runner));
  };
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, onConnection);
  server.listen(socketPath);
  await once(server, 'listening');
  return {
    running,
    started: () => started,
    close: async () => {
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await Promise.all([...running].map((runner) => once(runner, 'exit')));
    },
  };
};
