// A log on disk, written as its lines come, with a bound: beyond it the head stays, the tail follows when the log is
// closed, and one line between them says what is missing. A disk that is full costs the log, not what it tells of.
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCodeOf } from './error-code.ts';

export interface LogFileOptions {
  /** Created with its folders; a file that is there is replaced. */
  readonly path: string;
  /** Of the whole file; beyond it the middle is left out. At least 1024. */
  readonly maxBytes: number;
}

export interface LogFileEnd {
  /** Bytes that were written to the log, kept or not. */
  readonly totalBytes: number;
  /** Bytes that were left out between head and tail. */
  readonly omittedBytes: number;
  /** For people: why the file is not complete ("no space left on device"); null where it is. */
  readonly fault: string | null;
}

export interface LogFile {
  /** Adds one line, its line feed included by us. Never throws and never waits. Ignored after close(). */
  write(line: Uint8Array | string): void;
  /** The last lines so far, oldest first, at most `count`, each cut to 4 KiB; never more than 100. */
  lastLines(count: number): string[];
  /**
   * Resolves when all that was written before the call is in the file, but for what the bound keeps back until the
   * log is closed. Never rejects.
   */
  written(): Promise<void>;
  /** Writes what is left. Idempotent; never rejects. */
  close(): Promise<LogFileEnd>;
}

/** The most of a tail that is kept in memory, for each open log. */
const maxTailBytes = 1024 * 1024;
const maxShownLine = 4096;
const shownLines = 100;
const lineFeed = Buffer.from('\n');

const faultOf = (error: unknown): string => {
  const code = errorCodeOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') return 'no space left on the disk of the log';
  return error instanceof Error ? error.message : String(error);
};

/** The newest bytes, whole chunks, a little more than `limit` at most. */
class Tail {
  readonly #limit: number;
  #chunks: Buffer[] = [];
  #first = 0;
  #bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(chunk: Buffer): void {
    const kept = chunk.length > this.#limit ? Buffer.from(chunk.subarray(chunk.length - this.#limit)) : chunk;
    this.#chunks.push(kept);
    this.#bytes += kept.length;
    for (let oldest = this.#chunks[this.#first]; oldest !== undefined; oldest = this.#chunks[this.#first]) {
      if (this.#bytes - oldest.length < this.#limit) break;
      this.#bytes -= oldest.length;
      this.#first++;
    }
    if (this.#first > 1024 && this.#first > this.#chunks.length / 2) {
      this.#chunks = this.#chunks.slice(this.#first);
      this.#first = 0;
    }
  }

  /** At most `limit` bytes, from the start of a line where there is one. */
  take(): Buffer {
    const all = Buffer.concat(this.#chunks.slice(this.#first));
    if (all.length <= this.#limit) return all;
    const cut = all.subarray(all.length - this.#limit);
    const lineEnd = cut.indexOf(10);
    return lineEnd < 0 || lineEnd === cut.length - 1 ? cut : cut.subarray(lineEnd + 1);
  }
}

const isLastByteLineFeed = (bytes: Buffer): boolean => bytes.at(-1) === 10;

const openWithFolder = async (path: string): Promise<FileHandle> => {
  await mkdir(dirname(path), { recursive: true });
  return open(path, 'w');
};

class CappedLogFile implements LogFile {
  readonly #headLimit: number;
  readonly #tail: Tail;
  readonly #shown: Buffer[] = [];
  #waiting: Buffer[] = [];
  #writing: Promise<void>;
  #headBytes = 0;
  #totalBytes = 0;
  #headEndsLine = true;
  #handle: FileHandle | null = null;
  #fault: string | null = null;
  #end: Promise<LogFileEnd> | null = null;

  constructor({ path, maxBytes }: LogFileOptions) {
    const gapLine = 200;
    const tailLimit = Math.min(maxTailBytes, Math.floor((maxBytes - gapLine) / 2));
    this.#headLimit = maxBytes - gapLine - tailLimit;
    this.#tail = new Tail(tailLimit);
    this.#writing = this.#open(path);
  }

  write(line: Uint8Array | string): void {
    if (this.#end !== null) return;
    const bytes = typeof line === 'string' ? Buffer.from(`${line}\n`) : Buffer.concat([line, lineFeed]);
    this.#totalBytes += bytes.length;
    this.#show(bytes);
    const room = this.#headLimit - this.#headBytes;
    if (room > 0) this.#append(bytes.subarray(0, room));
    if (bytes.length > room) this.#tail.add(room > 0 ? bytes.subarray(room) : bytes);
  }

  lastLines(count: number): string[] {
    return count <= 0 ? [] : this.#shown.slice(-count).map((line) => line.toString('utf8'));
  }

  async written(): Promise<void> {
    await this.#writing;
  }

  close(): Promise<LogFileEnd> {
    this.#end ??= this.#close();
    return this.#end;
  }

  async #open(path: string): Promise<void> {
    try {
      this.#handle = await openWithFolder(path).catch((error: unknown) => {
        // Whoever removes folders that are empty may have come in between.
        if (errorCodeOf(error) === 'ENOENT') return openWithFolder(path);
        throw error;
      });
    } catch (error) {
      this.#fault = faultOf(error);
    }
    await this.#flush();
  }

  #show(bytes: Buffer): void {
    // A copy of a long line's beginning, else all of it would stay in memory.
    this.#shown.push(
      bytes.length > maxShownLine ? Buffer.from(bytes.subarray(0, maxShownLine)) : bytes.subarray(0, -1),
    );
    if (this.#shown.length > 2 * shownLines) this.#shown.splice(0, shownLines);
  }

  #append(head: Buffer): void {
    this.#headBytes += head.length;
    this.#headEndsLine = isLastByteLineFeed(head);
    const idle = this.#waiting.length === 0;
    this.#waiting.push(head);
    if (idle) this.#writing = this.#writing.then(() => this.#flush());
  }

  /** One write for all that came while the one before was under way. */
  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = Buffer.concat(this.#waiting);
      this.#waiting = [];
      if (this.#fault === null) await this.#writeOut(batch);
    }
  }

  async #writeOut(bytes: Buffer): Promise<void> {
    try {
      for (let done = 0; done < bytes.length && this.#handle !== null; ) {
        const { bytesWritten } = await this.#handle.write(bytes, done);
        done += bytesWritten;
      }
    } catch (error) {
      this.#fault = faultOf(error);
    }
  }

  async #close(): Promise<LogFileEnd> {
    await this.#writing;
    await this.#flush();
    const tail = this.#tail.take();
    const omittedBytes = this.#totalBytes - this.#headBytes - tail.length;
    if (omittedBytes > 0) {
      const gap = `[EkaCI left out ${omittedBytes} bytes of this log here: it is longer than the limit]\n`;
      await this.#writeOut(Buffer.from(this.#headEndsLine ? gap : `\n${gap}`));
    }
    if (this.#fault === null) await this.#writeOut(tail);
    try {
      await this.#handle?.close();
    } catch (error) {
      this.#fault ??= faultOf(error);
    }
    return { totalBytes: this.#totalBytes, omittedBytes, fault: this.#fault };
  }
}

/** Opens in the background: a file that cannot be written shows as the `fault` of its end. */
export const createLogFile = (options: LogFileOptions): LogFile => new CappedLogFile(options);

/** How much of a file's end is read for its last lines. */
const maxTailRead = 256 * 1024;

/**
 * The last lines of a file, oldest first, without reading the rest of it; fewer where they are very long. A missing
 * file has none.
 */
export const tailOf = async (path: string, count: number): Promise<string[]> => {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return [];
    throw error;
  }
  try {
    const { size } = await handle.stat();
    const start = Math.max(0, size - maxTailRead);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - start), 0, size - start, start);
    const lines = buffer.subarray(0, bytesRead).toString('utf8').split('\n');
    if (lines.at(-1) === '') lines.pop();
    if (start > 0 && lines.length > 1) lines.shift();
    return count <= 0 ? [] : lines.slice(-count).map((line) => line.slice(0, maxShownLine));
  } finally {
    await handle.close();
  }
};
