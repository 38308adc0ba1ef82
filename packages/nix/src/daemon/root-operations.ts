// What keeps paths from the garbage collector.
import { isAbsolute } from 'node:path';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import type { CallOptions } from './call-watch.ts';
import type { DaemonConnection } from './daemon-connection.ts';
import { NixDaemonError } from './daemon-error.ts';
import { boundQuery } from './query-operations.ts';
import type { WireReader } from './wire-reader.ts';

const ADD_TEMP_ROOT = 11;
const ADD_INDIRECT_ROOT = 12;

/** A number that says nothing. */
const readNothing = async (reader: WireReader): Promise<void> => {
  await reader.number();
};

/** Keeps a path, valid or not yet, until this connection ends. */
export const addTempRoot = (
  connection: DaemonConnection,
  path: StorePath | DrvPath,
  options: CallOptions = {},
): Promise<void> =>
  connection.call(
    { operation: ADD_TEMP_ROOT, write: (writer) => writer.string(path), read: readNothing },
    boundQuery(options),
  );

/**
 * Keeps what a symbolic link leads to for as long as the link is there. The caller has made the link; the daemon, on the same
 * machine, must be able to read it.
 * @throws NixDaemonError NIX_DAEMON_BAD_REQUEST unless `link` is absolute: the daemon would begin at its own working directory
 */
export const addIndirectRoot = async (
  connection: DaemonConnection,
  link: string,
  options: CallOptions = {},
): Promise<void> => {
  if (!isAbsolute(link)) {
    throw new NixDaemonError('NIX_DAEMON_BAD_REQUEST', `${JSON.stringify(link)} is not an absolute path`);
  }
  await connection.call(
    { operation: ADD_INDIRECT_ROOT, write: (writer) => writer.string(link), read: readNothing },
    boundQuery(options),
  );
};
