// The socket that a daemon listens at.
import { connect, type Socket } from 'node:net';
import { NixDaemonError } from '../daemon-error.ts';
import type { DaemonStream, DaemonTransport } from './transport.ts';

const advice: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket: is the Nix daemon installed and running (systemctl status nix-daemon)?',
  ECONNREFUSED: 'nobody listens there: start the Nix daemon (systemctl start nix-daemon.socket)',
  EACCES: 'this user may not open it: check the rights of the socket and its folders',
};

const unreachable = (path: string, cause: Error & { code?: string }): NixDaemonError => {
  const why = advice[cause.code ?? ''] ?? cause.message;
  return new NixDaemonError('NIX_DAEMON_UNREACHABLE', `cannot reach the Nix daemon at ${path}: ${why}`, {
    cause,
  });
};

const streamOf = (socket: Socket): DaemonStream => ({
  input: socket,
  output: socket,
  close: () => void socket.destroy(),
  closed: new Promise((resolve) => {
    socket.once('close', () => resolve());
  }),
  explain: () => '',
});

/** @param path for example `/nix/var/nix/daemon-socket/socket` */
export const unixSocketTransport = (path: string): DaemonTransport => ({
  name: `unix:${path}`,
  open(signal) {
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      const stream = streamOf(socket);
      const onAbort = (): void => {
        socket.destroy();
        // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- the reason is the caller's own
        reject(signal?.reason);
      };
      const onError = (error: Error): void => {
        signal?.removeEventListener('abort', onAbort);
        reject(unreachable(path, error));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      socket.once('error', onError);
      socket.once('connect', () => {
        signal?.removeEventListener('abort', onAbort);
        socket.off('error', onError);
        resolve(stream);
      });
    });
  },
});
