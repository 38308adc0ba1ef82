// Roots paths over a connection to the daemon, instead of by two processes.
import { rm, symlink } from 'node:fs/promises';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { type RootPaths, rootsText } from '../gc-roots.ts';
import type { DaemonConnection } from './daemon-connection.ts';
import { NixDaemonError } from './daemon-error.ts';
import { queryValidPaths } from './query-operations.ts';
import { addIndirectRoot } from './root-operations.ts';
import { addText } from './transfer-operations.ts';

/** Of one rooting. */
const timeoutMs = 120_000;

interface Rooting {
  readonly link: string;
  readonly paths: readonly (DrvPath | StorePath)[];
  /** Fetches those that are not there any more, where they can be fetched. */
  readonly substitute: boolean;
}

/**
 * A connection that nobody else uses, and that is closed afterwards: it holds the file until then, and questions to a daemon
 * may stand still for minutes.
 */
type Connect = (signal: AbortSignal) => Promise<DaemonConnection>;

const rootBy = async (connect: Connect, { link, paths, substitute }: Rooting): Promise<void> => {
  const options = { signal: AbortSignal.timeout(timeoutMs) };
  const connection = await connect(options.signal);
  try {
    if (substitute) await queryValidPaths(connection, { paths, substitute }, options);
    const file = await addText(connection, rootsText(paths), options);
    await symlink(file.path, link);
    await addIndirectRoot(connection, link, options);
  } catch (error) {
    await rm(link, { force: true });
    throw error;
  } finally {
    await connection.close();
  }
};

/** The daemon runs on this machine, and can read the links. */
export const createDaemonRooting =
  (connect: Connect): RootPaths =>
  async (link, paths) => {
    try {
      await rootBy(connect, { link, paths, substitute: false });
    } catch (error) {
      if (!(error instanceof NixDaemonError) || error.code !== 'NIX_DAEMON_REFUSED') throw error;
      // One of them was collected meanwhile, most likely.
      await rootBy(connect, { link, paths, substitute: true });
    }
  };
