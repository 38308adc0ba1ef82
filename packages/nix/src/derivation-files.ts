// Reads closures of derivation files straight from a store's directory.
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { DrvNode } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { type Derivation, DerivationError, parseDerivation } from './derivation.ts';
import { detach, toDrvNode } from './derivation-facts.ts';
import { baseNameOf, drvPathFault } from './store-path.ts';

export type DerivationFileFault =
  /** There is no such file in the store. */
  | 'DRV_FILE_MISSING'
  /** It is there and cannot be opened or read, or it is no regular file. */
  | 'DRV_FILE_UNREADABLE'
  /** It is not one whole derivation, and `cause` is the DerivationError; or it is too large to be looked at. */
  | 'DRV_FILE_BROKEN'
  /** It is named as an input, and is no path of this store. */
  | 'DRV_FILE_FOREIGN';

/** Thrown when a closure cannot be read to its end. */
export class DerivationFileError extends Error {
  readonly code: DerivationFileFault;
  readonly path: string;
  /** The derivation that has `path` among its inputs; null for a root. */
  readonly neededBy: DrvPath | null;
  constructor(
    code: DerivationFileFault,
    at: { path: string; neededBy: DrvPath | null; detail: string; cause?: unknown },
  ) {
    const need = at.neededBy === null ? 'asked for as a root' : `an input of ${at.neededBy}`;
    super(`${at.path} (${need}): ${at.detail}`, { cause: at.cause });
    this.name = 'DerivationFileError';
    this.code = code;
    this.path = at.path;
    this.neededBy = at.neededBy;
  }
}

/** The largest that there are have some megabytes. To parse 200 takes seconds, and two gigabytes of memory. */
export const maxDerivationBytes = 32 * 1024 * 1024;
export const tooLarge = `is larger than ${maxDerivationBytes / 1024 / 1024} MiB`;

class TooLargeError extends Error {
  constructor() {
    super(tooLarge);
    this.name = 'TooLargeError';
  }
}

/** `nonblocking` and no links: a store may hold anything under a name that ends with `.drv`. */
export const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Gives a function that reads a whole file, one character a byte. One buffer serves all its calls: with the
 * file's size not asked for, a small file costs three system calls. @throws system errors; for what is too large
 */
export const createFileReader = (initialSize = 256 * 1024): ((file: string) => string) => {
  let buffer = Buffer.allocUnsafeSlow(initialSize);
  return (file) => {
    const descriptor = openSync(file, openFlags);
    try {
      let length = 0;
      for (;;) {
        const count = readSync(descriptor, buffer, length, buffer.length - length, null);
        length += count;
        // A regular file gives less than asked only at its end.
        if (count === 0 || length < buffer.length) return buffer.toString('latin1', 0, length);
        if (length >= maxDerivationBytes) throw new TooLargeError();
        const larger = Buffer.allocUnsafeSlow(buffer.length * 2);
        buffer.copy(larger);
        buffer = larger;
      }
    } finally {
      closeSync(descriptor);
    }
  };
};

export interface ReadDerivation {
  readonly path: DrvPath;
  /** For the dependency graph; keeps nothing of the file's text alive. */
  readonly node: DrvNode;
  /** Everything else. Its strings are views of the file's text: keep none of them, or `detach` it. */
  readonly derivation: Derivation;
}

export interface ClosureRequest {
  /** As in store paths' names, for example `/nix/store`. */
  readonly storeDir: string;
  /** Where that directory's content really is. @default storeDir */
  readonly realStoreDir?: string;
  readonly roots: Iterable<DrvPath>;
  /** True for paths that need not be read, nor anything below them for their sake: derivations never change. */
  readonly isKnown?: (path: DrvPath) => boolean;
  /** The same question for many paths at once, for a database; asked once a batch. */
  readonly known?: (paths: readonly DrvPath[]) => Promise<ReadonlySet<DrvPath>>;
  /** Most derivations that are given at once. @default 2000 */
  readonly batchSize?: number;
  /** Reading and parsing holds the event loop for at most about this long at a time. @default 10 */
  readonly sliceMs?: number;
}

interface Wanted {
  readonly path: DrvPath;
  readonly neededBy: DrvPath | null;
}

const detailOf = (error: unknown): { code: DerivationFileFault; detail: string } => {
  if (error instanceof DerivationError || error instanceof TooLargeError)
    return { code: 'DRV_FILE_BROKEN', detail: error.message };
  const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  if (reason === 'ENOENT') {
    return {
      code: 'DRV_FILE_MISSING',
      detail: 'is not in the store; was it garbage-collected? Evaluate again',
    };
  }
  return { code: 'DRV_FILE_UNREADABLE', detail: `cannot be read (${reason})` };
};

/**
 * Reads the closure of `roots`, each derivation once, needed ones after those that need them, in batches.
 * Synchronous reads in short slices: of files in the page cache they are several times faster than asynchronous
 * ones (`bench/README.md`), and between slices the event loop runs.
 * @throws DerivationFileError at the first file that is missing, broken, or not of this store
 */
export async function* readDerivationClosure(
  request: ClosureRequest,
): AsyncGenerator<readonly ReadDerivation[]> {
  const closure = createClosureReader(request);
  for (;;) {
    const paths = closure.takeWanted(request.batchSize ?? 2000);
    if (paths.length === 0) return;
    const known = (await request.known?.(paths.map(({ path }) => path))) ?? new Set<DrvPath>();
    const unknown = paths.filter(({ path }) => !known.has(path));
    const batch: ReadDerivation[] = [];
    let sliceEnd = performance.now() + (request.sliceMs ?? 10);
    for (const wanted of unknown) {
      batch.push(closure.read(wanted));
      if (performance.now() < sliceEnd) continue;
      await setImmediate();
      sliceEnd = performance.now() + (request.sliceMs ?? 10);
    }
    if (batch.length > 0) yield batch;
  }
}

const createClosureReader = ({ storeDir, realStoreDir = storeDir, roots, isKnown }: ClosureRequest) => {
  const readFile = createFileReader();
  /** Every path met so far, to its one copy. */
  const paths = new Map<string, DrvPath>();
  const wanted: Wanted[] = [];

  /** The one copy of the path; at the first meeting it is checked and, unless known, wanted. */
  const meet = (text: DrvPath, neededBy: DrvPath | null): DrvPath => {
    const met = paths.get(text);
    if (met !== undefined) return met;
    const fault = drvPathFault(text, storeDir);
    if (fault !== null)
      throw new DerivationFileError('DRV_FILE_FOREIGN', { path: text, neededBy, detail: fault });
    const path = detach(text) as DrvPath;
    paths.set(path, path);
    if (isKnown?.(path) !== true) wanted.push({ path, neededBy });
    return path;
  };

  const read = ({ path, neededBy }: Wanted): ReadDerivation => {
    try {
      const derivation = parseDerivation(readFile(join(realStoreDir, baseNameOf(path))), path);
      const node = toDrvNode(path, derivation, (input) => meet(input, path));
      return { path, node, derivation };
    } catch (cause) {
      if (cause instanceof DerivationFileError) throw cause;
      throw new DerivationFileError(detailOf(cause).code, {
        path,
        neededBy,
        detail: detailOf(cause).detail,
        cause,
      });
    }
  };

  const takeWanted = (most: number): readonly Wanted[] => wanted.splice(0, most);

  for (const root of roots) meet(root, null);
  return { read, takeWanted };
};
