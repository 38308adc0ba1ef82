// Everything that paths refer to, directly or over others, and its way from one store into another.
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import type { CallOptions } from './call-watch.ts';
import type { DaemonConnection } from './daemon-connection.ts';
import type { DaemonPool } from './daemon-pool.ts';
import type { ValidPathInfo } from './path-info.ts';
import { queryPathInfo, queryValidPaths } from './query-operations.ts';
import { addTempRoot } from './root-operations.ts';
import { addMultipleToStore, narFromPath, type StoreObject } from './transfer-operations.ts';

/** So many questions are worth a connection of their own. */
const questionsPerConnection = 16;

/** Asks about each path on as many connections as there are; those that are not valid are left out. */
export const queryPathInfos = async (
  pool: DaemonPool,
  paths: Iterable<StorePath>,
  options: CallOptions = {},
): Promise<Map<StorePath, ValidPathInfo>> => {
  const left = [...new Set(paths)];
  const infos = new Map<StorePath, ValidPathInfo>();
  const askAll = (connection: DaemonConnection): Promise<void> =>
    askInTurn(connection, { left, infos, options });
  const connections = Math.min(pool.size, Math.ceil(left.length / questionsPerConnection));
  await Promise.all(Array.from({ length: connections }, () => pool.use(askAll, options.signal)));
  return infos;
};

interface Questions {
  readonly left: StorePath[];
  readonly infos: Map<StorePath, ValidPathInfo>;
  readonly options: CallOptions;
}

const askInTurn = async (
  connection: DaemonConnection,
  { left, infos, options }: Questions,
): Promise<void> => {
  try {
    for (let path = left.pop(); path !== undefined; path = left.pop()) {
      const info = await queryPathInfo(connection, path, options);
      if (info !== null) infos.set(path, info);
    }
  } finally {
    // After a failure the others need not go on; else there is nothing left.
    left.length = 0;
  }
};

/** Of the valid ones of `paths` and everything they refer to. */
export const queryClosure = async (
  pool: DaemonPool,
  paths: Iterable<StorePath>,
  options: CallOptions = {},
): Promise<Map<StorePath, ValidPathInfo>> => {
  const closure = new Map<StorePath, ValidPathInfo>();
  const seen = new Set(paths);
  for (let next = [...seen]; next.length > 0; ) {
    const infos = await queryPathInfos(pool, next, options);
    next = [];
    for (const [path, info] of infos) {
      closure.set(path, info);
      for (const reference of info.references) {
        if (!seen.has(reference)) next.push(reference);
        seen.add(reference);
      }
    }
  }
  return closure;
};

/** Each after what it refers to; the order in which a store takes them. References to none of them do not matter. */
export const inReferenceOrder = (infos: ReadonlyMap<StorePath, ValidPathInfo>): ValidPathInfo[] => {
  const ordered: ValidPathInfo[] = [];
  const seen = new Set<StorePath>();
  for (const root of infos.keys()) {
    // A stack of our own: chains of references are deeper than calls may be.
    const stack: { readonly path: StorePath; readonly isDone: boolean }[] = [{ path: root, isDone: false }];
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const info = infos.get(top.path);
      if (info === undefined) continue;
      if (top.isDone) {
        ordered.push(info);
      } else if (!seen.has(top.path)) {
        seen.add(top.path);
        stack.push({ path: top.path, isDone: true });
        for (const path of info.references) if (!seen.has(path)) stack.push({ path, isDone: false });
      }
    }
  }
  return ordered;
};

export interface ClosureCopy {
  readonly from: DaemonPool;
  /** Its store has the same name as that of `from`. */
  readonly to: DaemonConnection;
  readonly paths: Iterable<StorePath | DrvPath>;
  /** Adds what no key trusted there has signed; only a trusted client may. @default false */
  readonly allowUnsigned?: boolean;
}

/** Copies what `to` lacks, in one request, without holding archives in memory. Gives the paths that it added. */
export const copyClosure = (
  { from, to, paths, allowUnsigned = false }: ClosureCopy,
  options: CallOptions = {},
): Promise<StorePath[]> =>
  from.use(async (source) => {
    const roots = [...paths].map((path) => path as string as StorePath);
    // What is reachable from them stays as well, for as long as this connection is used.
    for (const root of roots) await addTempRoot(source, root, options);
    const infos = await closureOver(source, roots, options);
    const valid = await queryValidPaths(to, { paths: infos.keys() }, options);
    for (const path of valid) infos.delete(path);
    const missing = inReferenceOrder(infos);
    const objects: StoreObject[] = missing.map((info) => ({
      info,
      sendNar: (take) => narFromPath(source, { info, take }, options),
    }));
    if (objects.length > 0) await addMultipleToStore(to, objects, { ...options, allowUnsigned });
    return missing.map(({ path }) => path);
  }, options.signal);

/** On the one connection that holds the roots: it would wait for itself in a pool of one. */
const closureOver = (
  connection: DaemonConnection,
  roots: readonly StorePath[],
  options: CallOptions,
): Promise<Map<StorePath, ValidPathInfo>> =>
  queryClosure({ size: 1, use: (work) => work(connection), close: async () => {} }, roots, options);
