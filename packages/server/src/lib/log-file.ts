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
  /** The last lines so far, oldest first, at most `count`, each cut to 4096 units; never more than 100. */
  lastLines(count: number): string[];
  /**
   * Resolves when all that was written before the call is in the file, but for what the bound keeps back until the
   * log is closed. Never rejects.
   */
  written(): Promise<void>;
  /**
   * Null while the disk keeps up; else resolves when it has caught up. Who reads what a build says waits for it before
   * reading on, or the log of a loud build would wait in memory. Never rejects.
   */
  pressure(): Promise<void> | null;
  /** Writes what is left. Idempotent; never rejects. */
  close(): Promise<LogFileEnd>;
}

/** The most of a tail that is kept in memory, for each open log. */
const maxTailBytes = 1024 * 1024;
const maxShownLine = 4096;
const shownLines = 100;
/** In UTF-16 units: what is made bytes, and written, at once. */
const batchLength = 128 * 1024;
/** More than this in memory is pressure. */
const maxWaitingBytes = 4 * 1024 * 1024;
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

/** A copy: of a part, else all of a long line would stay in memory. */
const cutShown = (line: string): string =>
  Buffer.from(line.slice(0, maxShownLine), 'utf16le').toString('utf16le');

interface Waiter {
  readonly untilBytes: number;
  readonly resolve: () => void;
}

class CappedLogFile implements LogFile {
  readonly #headLimit: number;
  readonly #tail: Tail;
  /** The newest lines, the one of number n at n modulo `shownLines`. */
  readonly #shown: (string | Buffer)[] = [];
  #lines = 0;
  /** Lines that are no bytes yet: to make them so one by one takes most of the time that a line costs. */
  #text = '';
  #waiting: Buffer[] = [];
  readonly #opened: Promise<void>;
  #writing: Promise<void>;
  #isFlushing = true;
  #headBytes = 0;
  /** Of the head: written, or given up. */
  #doneBytes = 0;
  #waiters: Waiter[] = [];
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
    this.#opened = this.#open(path);
    this.#writing = this.#opened.then(() => this.#flush());
  }

  write(line: Uint8Array | string): void {
    if (this.#end !== null) return;
    this.#show(line);
    if (typeof line === 'string') {
      this.#text += line;
      this.#text += '\n';
      if (this.#text.length >= batchLength) this.#encode();
    } else {
      this.#encode();
      this.#take(Buffer.concat([line, lineFeed]));
    }
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    this.#writing = this.#writing.then(() => this.#flush());
  }

  lastLines(count: number): string[] {
    const first = Math.max(0, this.#lines - Math.min(count, shownLines));
    return Array.from({ length: Math.max(0, this.#lines - first) }, (_, at) =>
      String(this.#shown[(first + at) % shownLines]),
    );
  }

  async written(): Promise<void> {
    this.#encode();
    const untilBytes = this.#headBytes;
    await this.#opened;
    if (this.#doneBytes >= untilBytes) return;
    await new Promise<void>((resolve) => {
      this.#waiters.push({ untilBytes, resolve });
    });
  }

  pressure(): Promise<void> | null {
    return this.#headBytes - this.#doneBytes > maxWaitingBytes ? this.written() : null;
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
  }

  #show(line: Uint8Array | string): void {
    let shown: string | Buffer;
    if (typeof line === 'string') shown = line.length > maxShownLine ? cutShown(line) : line;
    else shown = Buffer.from(line.subarray(0, maxShownLine));
    this.#shown[this.#lines % shownLines] = shown;
    this.#lines += 1;
  }

  #encode(): void {
    if (this.#text === '') return;
    const bytes = Buffer.from(this.#text);
    this.#text = '';
    this.#take(bytes);
  }

  #take(bytes: Buffer): void {
    this.#totalBytes += bytes.length;
    const room = this.#headLimit - this.#headBytes;
    if (room > 0) {
      const head = bytes.subarray(0, room);
      this.#headBytes += head.length;
      this.#headEndsLine = isLastByteLineFeed(head);
      this.#waiting.push(head);
    }
    if (bytes.length > room) this.#tail.add(room > 0 ? bytes.subarray(room) : bytes);
  }

  /** Writes until nothing waits: what came meanwhile is one more write. */
  async #flush(): Promise<void> {
    for (this.#encode(); this.#waiting.length > 0; this.#encode()) {
      const [first, ...others] = this.#waiting;
      const bytes = first === undefined || others.length > 0 ? Buffer.concat(this.#waiting) : first;
      this.#waiting = [];
      if (this.#fault === null) await this.#writeOut(bytes);
      this.#settle(bytes.length);
    }
    this.#isFlushing = false;
  }

  #settle(bytes: number): void {
    this.#doneBytes += bytes;
    if (this.#waiters.length === 0) return;
    const isDone = ({ untilBytes }: Waiter): boolean => untilBytes <= this.#doneBytes;
    for (const { resolve } of this.#waiters.filter(isDone)) resolve();
    this.#waiters = this.#waiters.filter((waiter) => !isDone(waiter));
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
