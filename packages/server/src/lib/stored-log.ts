// Reads logs as their writers left them: as text while they are young, compressed later. Nobody outside needs to know which,
// also while one becomes the other.
import { type FileHandle, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { callbackify } from 'node:util';
import {
  blockAt,
  type CompressedLog,
  compressedSuffix,
  LogDamagedError,
  readBlock,
  readIndex,
} from './compressed-log.ts';
import { errorCodeOf } from './error-code.ts';

export interface StoredLog {
  /** Of its text, as of when it was opened: it may grow meanwhile. */
  readonly sizeBytes: number;
  /** Of the text, in whole milliseconds since 1970. */
  readonly modifiedMs: number;
  /** Both included, and in the log. Called once: the log is closed when all is read or the stream is destroyed. */
  stream(start: number, end: number): Readable;
  /** Instead of `stream`. */
  close(): Promise<void>;
}

/** The part of a text that blocks hold. Reads no block before somebody wants it, and one at a time. */
class BlockStream extends Readable {
  readonly #handle: FileHandle;
  readonly #log: CompressedLog;
  readonly #end: number;
  #next: number;

  constructor(handle: FileHandle, log: CompressedLog, { start, end }: { start: number; end: number }) {
    super({ highWaterMark: 1 });
    this.#handle = handle;
    this.#log = log;
    this.#next = start;
    this.#end = end;
  }

  override _read(): void {
    this.#readNext().then(
      (piece) => this.push(piece),
      (error: unknown) => this.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // Waits for a read that is under way.
    callbackify(() => this.#handle.close())((fault) => done(error ?? fault));
  }

  async #readNext(): Promise<Buffer | null> {
    if (this.#next > this.#end) return null;
    const block = this.#log.blocks[blockAt(this.#log, this.#next) ?? -1];
    if (block === undefined) throw new LogDamagedError('it ends before its end');
    const text = await readBlock(this.#handle, block);
    const piece = text.subarray(this.#next - block.textOffset, this.#end + 1 - block.textOffset);
    this.#next += piece.length;
    return piece;
  }
}

const openPlain = async (handle: FileHandle): Promise<StoredLog> => {
  const { size, mtimeMs } = await handle.stat();
  return {
    sizeBytes: size,
    modifiedMs: Math.trunc(mtimeMs),
    stream: (start, end) => handle.createReadStream({ start, end }),
    close: () => handle.close(),
  };
};

const openCompressed = async (handle: FileHandle): Promise<StoredLog> => {
  const { mtimeMs } = await handle.stat();
  const log = await readIndex(handle);
  return {
    sizeBytes: log.textBytes,
    modifiedMs: Math.trunc(mtimeMs),
    stream: (start, end) => new BlockStream(handle, log, { start, end }),
    close: () => handle.close(),
  };
};

/**
 * Opens whichever form of a log there is, the text first: who compresses puts the other in place before taking it away.
 * @param openForm with a suffix to the log's name; null where that is not there
 * @returns null where there is neither
 * @throws LogDamagedError, and what `openForm` throws
 */
export const openStoredLog = async (
  openForm: (suffix: string) => Promise<FileHandle | null>,
): Promise<StoredLog | null> => {
  for (const [suffix, read] of [
    ['', openPlain],
    [compressedSuffix, openCompressed],
  ] as const) {
    const handle = await openForm(suffix);
    if (handle === null) continue;
    try {
      return await read(handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }
  return null;
};

/** How much of a log's end is read for its last lines. */
const maxTailRead = 256 * 1024;
const maxShownLine = 4096;

const openIfThere = async (path: string): Promise<FileHandle | null> => {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return null;
    throw error;
  }
};

/**
 * The last lines of a log, oldest first, without reading the rest of it; fewer where they are very long. A missing log
 * has none.
 * @param path without the suffix of the compressed form
 */
export const tailOf = async (path: string, count: number): Promise<string[]> => {
  const log = await openStoredLog((suffix) => openIfThere(path + suffix));
  if (log === null) return [];
  if (log.sizeBytes === 0 || count <= 0) {
    await log.close();
    return [];
  }
  const start = Math.max(0, log.sizeBytes - maxTailRead);
  const pieces: Buffer[] = [];
  for await (const piece of log.stream(start, log.sizeBytes - 1)) pieces.push(piece as Buffer);
  const lines = Buffer.concat(pieces).toString('utf8').split('\n');
  if (lines.at(-1) === '') lines.pop();
  if (start > 0 && lines.length > 1) lines.shift();
  return lines.slice(-count).map((line) => line.slice(0, maxShownLine));
};
