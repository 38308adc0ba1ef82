// Keeps derivations from garbage collection for as long as somebody else needs to root them for good.
import type { DrvPath } from '@eka-ci/core/ids';
import { connectDaemon } from '../daemon/daemon-connection.ts';
import { addTempRoot } from '../daemon/root-operations.ts';
import { unixSocketTransport } from '../daemon/transport/unix-socket.ts';
import type { NixInstallation } from '../installation.ts';

export interface TemporaryRoots {
  /** It is kept from now on, until `release`. One call at a time. @throws NixDaemonError */
  add(path: DrvPath): Promise<void>;
  /** Nothing is kept any more. Idempotent. */
  release(): Promise<void>;
}

/** Who writes the store itself leaves that to the processes that write. */
const none: TemporaryRoots = { add: async () => {}, release: async () => {} };

const socketOf = ({ env, daemonSocket }: NixInstallation): string =>
  /^unix:\/\/(?<path>\/[^?]+)/.exec(env['NIX_REMOTE'] ?? '')?.groups?.['path'] ?? daemonSocket;

/** By a connection to the daemon that is kept open. @throws NixDaemonError where it does not answer; the signal's reason */
export const openTemporaryRoots = async (
  nix: NixInstallation,
  signal: AbortSignal,
): Promise<TemporaryRoots> => {
  if (nix.access === 'direct') return none;
  const connection = await connectDaemon(unixSocketTransport(socketOf(nix)), {
    storeDir: nix.storeDir,
    signal,
  });
  return {
    add: (path) => addTempRoot(connection, path, { signal }),
    release: () => connection.close(),
  };
};
