// Compresses logs when nobody writes to them any more: behind everything else, one at a time, a block at a time. At every
// moment one whole form of a log is in its place, and whoever reads finds it (lib/stored-log.ts).
import { constants } from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { compressedSuffix, writeCompressed } from '../../lib/compressed-log.ts';
import { errorCodeOf } from '../../lib/error-code.ts';
import { type FoundLog, findLogs, isPartOfLog, isPlainLog } from '../upkeep/old-logs.ts';

export type CompressionEvent =
  | {
      readonly kind: 'compressed';
      readonly file: string;
      readonly textBytes: number;
      readonly sizeBytes: number;
    }
  /** The log stays as it is until the next start. `file` is null where the logs could not be listed. */
  | { readonly kind: 'fault'; readonly file: string | null; readonly error: unknown };

export interface LogCompressionDeps {
  /** Absolute. */
  readonly folder: string;
  /** Must not throw. */
  readonly onEvent: (event: CompressionEvent) => void;
}

/** Logs are named relative to the log folder, as attempts name them. */
export interface LogCompression {
  /** The log is left alone until the function that is given back is called, when all of it is in its file. */
  writing(file: string): () => void;
  /** Removes what an earlier life had half done, and takes up what it left. */
  start(): void;
  /** Resolves when nothing waits. Never rejects. */
  idle(): Promise<void>;
  /** Resolves when no file is touched any more; what waits is taken up by the next start. Idempotent. */
  stop(): Promise<void>;
}

/** Up to a block of the file system nothing is gained. */
const minSizeBytes = 4096;

const partSuffix = '.part';

const openText = (path: string): Promise<FileHandle> => open(path, constants.O_RDONLY | constants.O_NOFOLLOW);

/** A link that somebody put there is not followed. */
const openPart = (path: string): Promise<FileHandle> =>
  open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW, 0o600);

const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(path, constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
};

interface Written {
  readonly textBytes: number;
  readonly sizeBytes: number;
}

/** Null where there is nothing to gain. The copy is as old as the text: its age decides how long it is kept. */
const writePart = async (text: FileHandle, path: string, signal: AbortSignal): Promise<Written | null> => {
  const before = await text.stat();
  if (!before.isFile() || before.size <= minSizeBytes) return null;
  const part = await openPart(path);
  try {
    const textBytes = await writeCompressed(text, part, signal);
    // In the middle of its millisecond, so that no rounding makes it another.
    const modified = (Math.trunc(before.mtimeMs) + 0.5) / 1000;
    await part.utimes(modified, modified);
    await part.sync();
    const after = await text.stat();
    if (after.mtimeMs !== before.mtimeMs || textBytes !== before.size) return null;
    return { textBytes, sizeBytes: (await part.stat()).size };
  } finally {
    await part.close();
  }
};

const removeIfThere = (path: string): Promise<void> =>
  unlink(path).catch((error: unknown) => {
    if (errorCodeOf(error) !== 'ENOENT') throw error;
  });

interface Asked {
  readonly path: string;
  readonly signal: AbortSignal;
  /** Asked before the text is taken away. */
  readonly isWritten: () => boolean;
}

/**
 * Null where the log stays as it is.
 * @throws the signal's reason; what the file system throws: the text is there then, and no half of a copy
 */
const compressLog = async ({ path, signal, isWritten }: Asked): Promise<Written | null> => {
  const part = path + compressedSuffix + partSuffix;
  const text = await openText(path);
  try {
    const written = await writePart(text, part, signal);
    if (written === null || isWritten()) {
      await removeIfThere(part);
      return null;
    }
    await rename(part, path + compressedSuffix);
    // Else a power failure could leave neither.
    await syncFolder(dirname(path));
    if (!isWritten()) await removeIfThere(path);
    return written;
  } catch (error) {
    await removeIfThere(part);
    throw error;
  } finally {
    await text.close();
  }
};

class Compression implements LogCompression {
  readonly #deps: LogCompressionDeps;
  readonly #ending = new AbortController();
  /** How many write to it. */
  readonly #written = new Map<string, number>();
  readonly #waiting = new Set<string>();
  readonly #createdAtMs = Date.now();
  #working: Promise<void> | null = null;

  constructor(deps: LogCompressionDeps) {
    this.#deps = deps;
  }

  writing(file: string): () => void {
    this.#written.set(file, (this.#written.get(file) ?? 0) + 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      const left = (this.#written.get(file) ?? 1) - 1;
      if (left > 0) this.#written.set(file, left);
      else this.#written.delete(file);
      if (left === 0) this.#add([file]);
    };
  }

  start(): void {
    this.#working = this.#takeUp().then(() => this.#work());
  }

  async idle(): Promise<void> {
    while (this.#working !== null) await this.#working;
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.idle();
  }

  #add(files: readonly string[]): void {
    for (const file of files) this.#waiting.add(file);
    this.#working ??= this.#work();
  }

  async #takeUp(): Promise<void> {
    const { folder, onEvent } = this.#deps;
    try {
      const { logs } = await findLogs(folder);
      // Younger ones are being made.
      const isLeft = (log: FoundLog): boolean => isPartOfLog(log.file) && log.modifiedMs < this.#createdAtMs;
      for (const { file } of logs.filter(isLeft)) await removeIfThere(join(folder, file));
      for (const { file, sizeBytes } of logs) {
        if (isPlainLog(file) && sizeBytes > minSizeBytes) this.#waiting.add(file);
      }
    } catch (error) {
      onEvent({ kind: 'fault', file: null, error });
    }
  }

  async #work(): Promise<void> {
    for (const file of this.#waiting) {
      if (this.#ending.signal.aborted) break;
      this.#waiting.delete(file);
      // Its end adds it again.
      if (!this.#written.has(file)) await this.#compress(file);
      // What a build that ended left to be done comes first.
      await setImmediate();
    }
    this.#working = null;
  }

  async #compress(file: string): Promise<void> {
    const { folder, onEvent } = this.#deps;
    const { signal } = this.#ending;
    try {
      const isWritten = (): boolean => this.#written.has(file);
      const written = await compressLog({ path: join(folder, file), signal, isWritten });
      if (written !== null) onEvent({ kind: 'compressed', file, ...written });
    } catch (error) {
      // It was too old, and is removed.
      if (signal.aborted || errorCodeOf(error) === 'ENOENT') return;
      onEvent({ kind: 'fault', file, error });
    }
  }
}

export const createLogCompression = (deps: LogCompressionDeps): LogCompression => new Compression(deps);
