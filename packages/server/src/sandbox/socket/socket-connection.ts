// A connection to a runner behind a socket: a unit of its own, with a user of its own that sees nothing of the server's.
import { once } from 'node:events';
import { connect as connectTo, type Socket } from 'node:net';
import type { RunnerConnection } from '../runner-client.ts';

const open = async (path: string): Promise<Socket> => {
  const socket = connectTo({ path });
  try {
    await once(socket, 'connect');
    return socket;
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new Error(
      `no sandbox answers at ${path} (${why}): is its socket unit started, and may this user connect?`,
      {
        cause,
      },
    );
  }
};

/** What the runner has to end what it runs: the copy of the tree is its own affair. */
const defaultPatienceMs = 10_000;

/** Rejects with words for an operator. */
export const connectRunner = async (
  path: string,
  patienceMs = defaultPatienceMs,
): Promise<RunnerConnection> => {
  const socket = await open(path);
  const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  // Who reads or writes is told; nobody else is to be.
  socket.on('error', () => {});
  const close = async (): Promise<void> => {
    socket.end();
    socket.resume();
    const force = setTimeout(() => socket.destroy(), patienceMs);
    await gone;
    clearTimeout(force);
  };
  let closing: Promise<void> | undefined;
  return {
    input: socket,
    output: socket,
    complaint: () => 'Its log tells more: a bound of its unit may have ended it.',
    close: () => (closing ??= close()),
  };
};
