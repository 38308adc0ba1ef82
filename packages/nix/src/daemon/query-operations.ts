// Questions to a daemon that change nothing: what is there, what is known of it, and what is missing.
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { type BuildTarget, formatTarget } from './build-target.ts';
import type { CallOptions } from './call-watch.ts';
import type { DaemonConnection } from './daemon-connection.ts';
import {
  maxPathBytes,
  readDrvPaths,
  readOptionalPath,
  readPathInfo,
  readStorePath,
  readStorePaths,
  type ValidPathInfo,
} from './path-info.ts';

const IS_VALID_PATH = 1;
const QUERY_REFERRERS = 6;
const FIND_ROOTS = 14;
const QUERY_PATH_INFO = 26;
const QUERY_VALID_PATHS = 31;
const QUERY_SUBSTITUTABLE_PATHS = 32;
const QUERY_MISSING = 40;
const QUERY_DERIVATION_OUTPUT_MAP = 41;

const MiB = 1024 * 1024;

/** Substituters are asked about thousands of paths, and 2.8 loops for ever on a broken `.drv`. */
export const boundQuery = (options: CallOptions): CallOptions => ({
  timeoutMs: 15 * 60_000,
  maxLogBytes: 64 * MiB,
  ...options,
});

export const isValidPath = (
  connection: DaemonConnection,
  path: StorePath | DrvPath,
  options: CallOptions = {},
): Promise<boolean> =>
  connection.call(
    {
      operation: IS_VALID_PATH,
      write: (writer) => writer.string(path),
      read: (reader) => reader.boolean(),
    },
    boundQuery(options),
  );

export interface ValidPathsQuery<Path extends StorePath | DrvPath> {
  readonly paths: Iterable<Path>;
  /** Fetches what can be fetched first. @default false */
  readonly substitute?: boolean;
}

/** Those of `paths` that are valid. One question whatever their number. */
export const queryValidPaths = <Path extends StorePath | DrvPath>(
  connection: DaemonConnection,
  { paths, substitute = false }: ValidPathsQuery<Path>,
  options: CallOptions = {},
): Promise<Set<Path>> => {
  const asked = new Map<string, Path>();
  for (const path of paths) asked.set(path, path);
  return connection.call(
    {
      operation: QUERY_VALID_PATHS,
      write: (writer) => writer.strings(asked.keys()).boolean(substitute),
      async read(reader) {
        const valid = new Set<Path>();
        for (const text of await reader.strings('paths', maxPathBytes)) {
          const path = asked.get(text);
          if (path !== undefined) valid.add(path);
        }
        return valid;
      },
    },
    boundQuery(options),
  );
};

/** Null for a path that is not valid. */
export const queryPathInfo = (
  connection: DaemonConnection,
  path: StorePath | DrvPath,
  options: CallOptions = {},
): Promise<ValidPathInfo | null> => {
  const { storeDir } = connection;
  return connection.call(
    {
      operation: QUERY_PATH_INFO,
      write: (writer) => writer.string(path),
      read: async (reader) =>
        // Every derivation file is a path in the store as well.
        (await reader.boolean())
          ? readPathInfo(reader, { path: path as string as StorePath, storeDir })
          : null,
    },
    boundQuery(options),
  );
};

export interface DaemonMissing {
  /** By name, not by what needs what. */
  readonly willBuild: readonly DrvPath[];
  readonly willSubstitute: readonly StorePath[];
  /** Can be neither built nor fetched. */
  readonly unknown: readonly StorePath[];
  /** Bytes of what would be fetched. */
  readonly downloadSize: number;
  /** The same unpacked. */
  readonly narSize: number;
}

/** What realising these would take. */
export const queryMissing = (
  connection: DaemonConnection,
  targets: readonly BuildTarget[],
  options: CallOptions = {},
): Promise<DaemonMissing> => {
  const { storeDir } = connection;
  return connection.call(
    {
      operation: QUERY_MISSING,
      write: (writer) => writer.strings(targets.map(formatTarget)),
      read: async (reader) => ({
        willBuild: await readDrvPaths(reader, storeDir),
        willSubstitute: await readStorePaths(reader, storeDir),
        unknown: await readStorePaths(reader, storeDir),
        downloadSize: await reader.number(),
        narSize: await reader.number(),
      }),
    },
    boundQuery(options),
  );
};

/** Those of `paths` that some substituter has. */
export const querySubstitutablePaths = (
  connection: DaemonConnection,
  paths: Iterable<StorePath>,
  options: CallOptions = {},
): Promise<Set<StorePath>> =>
  connection.call(
    {
      operation: QUERY_SUBSTITUTABLE_PATHS,
      write: (writer) => writer.strings(paths),
      read: async (reader) => new Set(await readStorePaths(reader, connection.storeDir)),
    },
    boundQuery(options),
  );

/** The valid paths that refer to this one, itself included where it does. */
export const queryReferrers = (
  connection: DaemonConnection,
  path: StorePath | DrvPath,
  options: CallOptions = {},
): Promise<Set<StorePath>> =>
  connection.call(
    {
      operation: QUERY_REFERRERS,
      write: (writer) => writer.string(path),
      read: async (reader) => new Set(await readStorePaths(reader, connection.storeDir)),
    },
    boundQuery(options),
  );

/** By name; null for an output whose path is known only after it was built. */
export const queryDerivationOutputMap = (
  connection: DaemonConnection,
  drvPath: DrvPath,
  options: CallOptions = {},
): Promise<Map<string, StorePath | null>> =>
  connection.call(
    {
      operation: QUERY_DERIVATION_OUTPUT_MAP,
      write: (writer) => writer.string(drvPath),
      async read(reader) {
        const outputs = new Map<string, StorePath | null>();
        for (let left = await reader.count('outputs'); left > 0; left--) {
          const name = await reader.string();
          outputs.set(name, await readOptionalPath(reader, connection.storeDir));
        }
        return outputs;
      },
    },
    boundQuery(options),
  );

export interface GcRoot {
  /** What keeps it: a link, or in braces what else; `{censored}` for a client that is not trusted. */
  readonly link: string;
  readonly target: StorePath;
}

export const findRoots = (connection: DaemonConnection, options: CallOptions = {}): Promise<GcRoot[]> =>
  connection.call(
    {
      operation: FIND_ROOTS,
      write: () => {},
      async read(reader) {
        const roots: GcRoot[] = [];
        for (let left = await reader.count('roots'); left > 0; left--) {
          roots.push({
            link: await reader.string(),
            target: await readStorePath(reader, connection.storeDir),
          });
        }
        return roots;
      },
    },
    boundQuery(options),
  );
