// Whether the store that a daemon has open is called as ours is: no greeting tells.
import type { StorePath } from '@eka-ci/core/ids';
import type { CallOptions } from './call-watch.ts';
import type { DaemonConnection } from './daemon-connection.ts';
import { queryValidPaths } from './query-operations.ts';

/**
 * Opens the store as well: newer daemons do so only when they are asked about it.
 * @throws NixDaemonError NIX_DAEMON_REFUSED where its paths begin otherwise than with `connection.storeDir`
 */
export const checkStoreName = async (
  connection: DaemonConnection,
  options: CallOptions = {},
): Promise<void> => {
  // A name that no store has.
  const nowhere = `${connection.storeDir}/${'0'.repeat(32)}-eka-ci` as StorePath;
  await queryValidPaths(connection, { paths: [nowhere] }, options);
};
