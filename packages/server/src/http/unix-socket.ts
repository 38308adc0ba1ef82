// Binds a server to a unix socket that only its owner can reach before its mode is set.
import { chmod, chown, lstat, mkdir, stat, unlink } from 'node:fs/promises';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname, resolve } from 'node:path';
import { errorCodeOf } from '../lib/error-code.ts';
import { ListenError } from './listen-error.ts';
import { findGroup } from './unix-group.ts';

export interface UnixSocketOptions {
  readonly path: string;
  /** Of the socket, for example 0o600. */
  readonly mode: number;
  /** Who owns the socket beside us, by name or number. A folder that is made for it is theirs to enter. @default nobody */
  readonly group?: string | null;
}

/** `sun_path` has 108 bytes on Linux, the closing NUL included (unix(7)); a longer one is cut, not refused, by some. */
const maxPathBytes = 107;

export const fitsSocketPath = (path: string): boolean => Buffer.byteLength(resolve(path)) <= maxPathBytes;

const othersMayWrite = 0o022;

interface Group {
  readonly number: number;
  readonly name: string;
}

const giveToGroup = async (path: string, group: Group): Promise<void> => {
  try {
    await chown(path, -1, group.number);
  } catch (error) {
    throw new ListenError(
      'LISTEN_SOCKET_GROUP',
      `${path} cannot be given to the group ${group.name}: add the server's user to that group and start the server ` +
        'anew, or set unix.socket_group to one that the user is in',
      { cause: error },
    );
  }
};

/** @returns the folders that had to be made, the inner ones first */
const makeFolder = async (folder: string): Promise<string[]> => {
  try {
    const outermost = await mkdir(folder, { recursive: true, mode: 0o700 });
    if (outermost === undefined) return [];
    const made = [folder];
    for (let last = folder; last !== outermost && last !== dirname(last); last = dirname(last)) {
      made.push(dirname(last));
    }
    return made;
  } catch (error) {
    throw new ListenError(
      'LISTEN_SOCKET_FOLDER',
      `the folder ${folder} of the socket cannot be made: make it, or set unix.socket_path to another`,
      { cause: error },
    );
  }
};

const prepareFolder = async (folder: string, group: Group | null): Promise<void> => {
  const made = await makeFolder(folder);
  // One that was there before is somebody's decision.
  if (group !== null) {
    for (const path of made) {
      await giveToGroup(path, group);
      await chmod(path, 0o750);
    }
  }
  const { mode } = await stat(folder);
  if ((mode & othersMayWrite) !== 0) {
    throw new ListenError(
      'LISTEN_SOCKET_FOLDER',
      `others may write to ${folder}, so they could put a socket of their own there: "chmod go-w" it, or set ` +
        'unix.socket_path to a path in a private folder',
    );
  }
};

/** Whether somebody accepts connections there. */
const isAnswering = (path: string): Promise<boolean> =>
  new Promise((settle, fail) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      settle(true);
    });
    probe.once('error', (error) => {
      const code = errorCodeOf(error);
      // EAGAIN: its queue of connections is full, so there is somebody.
      if (code === 'EAGAIN') settle(true);
      else if (code === 'ECONNREFUSED' || code === 'ENOENT') settle(false);
      else fail(error);
    });
  });

/** Removes what a server that died left; anything else is somebody's. */
const removeStale = async (path: string): Promise<void> => {
  const found = await lstat(path).catch((error: unknown) => {
    if (errorCodeOf(error) === 'ENOENT') return null;
    throw error;
  });
  if (found === null) return;
  if (!found.isSocket()) {
    throw new ListenError(
      'LISTEN_SOCKET_TAKEN',
      `${path} exists and is no socket: move it away, or set unix.socket_path to another path`,
    );
  }
  if (await isAnswering(path)) {
    throw new ListenError(
      'LISTEN_SOCKET_LIVE',
      `a server already answers at ${path}: stop it, or set unix.socket_path to another path`,
    );
  }
  await unlink(path);
};

/** The socket is made within the call, under a mask that keeps everybody else out until `chmod`. */
const bindPrivately = (server: Server, path: string): Promise<void> =>
  new Promise((settle, fail) => {
    server.once('error', fail);
    const before = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off('error', fail);
        settle();
      });
    } finally {
      process.umask(before);
    }
  });

/** @throws ListenError */
export const bindUnixSocket = async (server: Server, options: UnixSocketOptions): Promise<void> => {
  const path = resolve(options.path);
  const bytes = Buffer.byteLength(path);
  if (bytes > maxPathBytes) {
    throw new ListenError(
      'LISTEN_SOCKET_PATH_TOO_LONG',
      `the socket path ${path} has ${bytes} bytes, the kernel takes ${maxPathBytes}: shorten unix.socket_path`,
    );
  }
  const name = options.group ?? null;
  const group = name === null ? null : { name, number: await findGroup(name) };
  await prepareFolder(dirname(path), group);
  try {
    await removeStale(path);
    await bindPrivately(server, path);
    // The group first: the mode must not give to another group what is meant for this one.
    if (group !== null) await giveToGroup(path, group);
    await chmod(path, options.mode);
  } catch (error) {
    if (error instanceof ListenError) throw error;
    throw new ListenError('LISTEN_FAILED', `the socket ${path} cannot be opened: ${String(error)}`, {
      cause: error,
    });
  }
};
