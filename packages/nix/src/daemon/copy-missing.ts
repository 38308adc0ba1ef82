// Paths and everything they refer to, from one store into another that has most of it: asked from the top down, so that
// what is there is neither listed nor looked into.
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import type { CallOptions } from './call-watch.ts';
import { inReferenceOrder } from './closure.ts';
import type { DaemonConnection } from './daemon-connection.ts';
import { NixDaemonError } from './daemon-error.ts';
import type { ValidPathInfo } from './path-info.ts';
import { queryPathInfo, queryValidPaths } from './query-operations.ts';
import { addTempRoot } from './root-operations.ts';
import { addMultipleToStore, narFromPath, type StoreObject, type TakeBytes } from './transfer-operations.ts';

export interface MissingCopy {
  readonly from: DaemonConnection;
  /** Its store has the same name as that of `from`. */
  readonly to: DaemonConnection;
  readonly paths: Iterable<StorePath | DrvPath>;
  /** Which of them is on another machine: where nothing moves, that one is blamed. */
  readonly far: CopySide;
  /** Adds what no key trusted there has signed; only a trusted client may. @default false */
  readonly allowUnsigned?: boolean;
  /** Told of each piece of an archive that is sent. */
  readonly onBytes?: (bytes: number) => void;
}

/** Of the two stores the one whose daemon, or the way to it, failed. */
export type CopySide = 'from' | 'to';

/** Thrown for whatever goes wrong between the two; the code is that of what went wrong. */
export class CopyError extends NixDaemonError {
  readonly side: CopySide;
  constructor(side: CopySide, cause: NixDaemonError) {
    super(cause.code, cause.message, { cause, ...(cause.refusal !== null && { refusal: cause.refusal }) });
    this.name = 'CopyError';
    this.side = side;
  }
}

/** Both are idle where one is; the far one's time runs out first. @default 5 minutes without a byte */
const boundsOf = (side: CopySide, { far }: MissingCopy, options: CallOptions): CallOptions => {
  const idleTimeoutMs = options.idleTimeoutMs ?? 5 * 60_000;
  return { ...options, idleTimeoutMs: side === far ? idleTimeoutMs : 2 * idleTimeoutMs };
};

/** What comes out of one side's daemon, told apart from what the other's throws through it. */
const on = async <Answer>(side: CopySide, answer: Promise<Answer>): Promise<Answer> => {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof NixDaemonError) || error instanceof CopyError) throw error;
    throw new CopyError(side, error);
  }
};

const goneError = (path: StorePath): NixDaemonError =>
  new NixDaemonError(
    'NIX_DAEMON_REFUSED',
    `${path} is not valid any more: it was garbage-collected meanwhile, or never was there`,
  );

/** A path that is valid has all that it refers to: only below one that is not is there anything to ask. */
const findMissing = async (
  copy: MissingCopy,
  options: CallOptions,
): Promise<Map<StorePath, ValidPathInfo>> => {
  const { from, to, paths } = copy;
  const missing = new Map<StorePath, ValidPathInfo>();
  // Every derivation file is a path in the store as well.
  const seen = new Set([...paths].map((path) => path as string as StorePath));
  for (let asked = [...seen]; asked.length > 0; ) {
    const valid = await on('to', queryValidPaths(to, { paths: asked }, boundsOf('to', copy, options)));
    const next: StorePath[] = [];
    for (const path of asked) {
      if (valid.has(path)) continue;
      const info = await on('from', queryPathInfo(from, path, boundsOf('from', copy, options)));
      if (info === null) throw new CopyError('from', goneError(path));
      missing.set(path, info);
      for (const reference of info.references) {
        if (!seen.has(reference)) next.push(reference);
        seen.add(reference);
      }
    }
    asked = next;
  }
  return missing;
};

/** What taking a piece comes to is not the fault of the store that it comes from. */
const passOn =
  (take: TakeBytes, onBytes: MissingCopy['onBytes']): TakeBytes =>
  (bytes) => {
    onBytes?.(bytes.length);
    const taken = take(bytes);
    return taken === undefined ? undefined : on('to', taken);
  };

/**
 * Copies what `to` lacks, in one request, without holding archives in memory. Gives the paths that it added, each after
 * what it refers to. What is copied stays in both stores for as long as the two connections are used.
 * @throws CopyError; the signal's reason when that aborts. What was added before stays
 */
export const copyMissing = async (
  copy: MissingCopy,
  options: CallOptions = {},
): Promise<readonly StorePath[]> => {
  const { from, to, allowUnsigned = false, onBytes } = copy;
  const [reading, adding] = [boundsOf('from', copy, options), boundsOf('to', copy, options)];
  for (const path of copy.paths) await on('from', addTempRoot(from, path, reading));
  const missing = inReferenceOrder(await findMissing(copy, options));
  if (missing.length === 0) return [];
  const objects: StoreObject[] = missing.map((info) => ({
    info,
    sendNar: (take) => on('from', narFromPath(from, { info, take: passOn(take, onBytes) }, reading)),
  }));
  await on('to', addMultipleToStore(to, objects, { ...adding, allowUnsigned }));
  return missing.map(({ path }) => path);
};
