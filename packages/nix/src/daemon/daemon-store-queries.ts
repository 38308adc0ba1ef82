// The questions of store-queries.ts, asked of a daemon over a few connections instead of by a process each.
import type { StorePath } from '@eka-ci/core/ids';
import { type StoreQueries, StoreQueryError } from '../store-queries.ts';
import type { CallOptions } from './call-watch.ts';
import { queryClosure, queryPathInfos } from './closure.ts';
import { NixDaemonError } from './daemon-error.ts';
import type { DaemonPool } from './daemon-pool.ts';
import { queryMissing, queryValidPaths } from './query-operations.ts';

const asked = async <Answer>(question: string, answer: Promise<Answer>): Promise<Answer> => {
  try {
    return await answer;
  } catch (cause) {
    if (!(cause instanceof NixDaemonError)) throw cause;
    throw new StoreQueryError(question, cause.message, cause);
  }
};

/** What will be built comes by name, not by what needs what: a daemon does not tell. The pool stays the caller's. */
export const createDaemonStoreQueries = (pool: DaemonPool, options: CallOptions = {}): StoreQueries => ({
  async queryValid(paths) {
    const list = [...paths];
    if (list.length === 0) return new Set();
    const answer = pool.use(
      (connection) => queryValidPaths(connection, { paths: list }, options),
      options.signal,
    );
    return asked('which paths are valid', answer);
  },
  async queryMissing(drvPaths) {
    const targets = [...new Set(drvPaths)].map((drvPath) => ({ drvPath, outputs: [] }));
    if (targets.length === 0) return { willBuild: [], willSubstitute: [], unknown: [] };
    const answer = pool.use((connection) => queryMissing(connection, targets, options), options.signal);
    const { willBuild, willSubstitute, unknown } = await asked('what is missing', answer);
    return { willBuild, willSubstitute, unknown };
  },
  queryPathInfo: (paths: Iterable<StorePath>) =>
    asked('how large paths are', queryPathInfos(pool, paths, options)),
  queryClosure: (paths: Iterable<StorePath>) =>
    asked('what paths refer to', queryClosure(pool, paths, options)),
});
