// The newest lines of the logs that somebody follows: kept once for all who follow, within a bound, and read by each from
// where it is. A line costs the same with a hundred readers as with one; who reads too slowly is told how many it missed.
import type { DrvPath } from '@eka-ci/core/ids';
import type { LoggedLine } from './live-logs.ts';

/** Of the lines that are kept of one derivation, and of what one reader is given at once. */
const maxKeptLength = 128 * 1024;
/** What a line costs beside its text. */
const lineOverhead = 200;

export interface FollowedLine extends LoggedLine {
  readonly attempt: number;
}

/** Consecutive lines as they are sent, JSON texts in UTF-8; the same object for all who have read as far. */
export class LineBatch {
  readonly texts: readonly Buffer[];
  #encoded: Buffer | null = null;

  constructor(texts: readonly Buffer[]) {
    this.texts = texts;
  }

  /** Made by whoever asks first; `encode` is the same for all. */
  encodedBy(encode: (texts: readonly Buffer[]) => Buffer): Buffer {
    this.#encoded ??= encode(this.texts);
    return this.#encoded;
  }
}

/** The lines of one derivation. Positions count the lines that were told since somebody follows it. */
export class FollowedLines {
  readonly drv: DrvPath;
  readonly #head: string;
  #lines: FollowedLine[] = [];
  /** Of `#lines`; those before are gone. */
  #first = 0;
  #length = 0;
  /** Of the line after the newest. */
  #end = 0;
  /** The batch that was made last, and the position where it begins. */
  #made: { readonly from: number; readonly batch: LineBatch } | null = null;
  /** Called when there is something to read again; those who have read all. */
  readonly #resting = new Set<() => void>();
  #readers = 0;

  constructor(drvPath: DrvPath) {
    this.drv = drvPath;
    this.#head = `{"type":"log_line","drvPath":${JSON.stringify(drvPath)},"attempt":`;
  }

  get end(): number {
    return this.#end;
  }

  /** Of the oldest line that is kept. */
  get start(): number {
    return this.#end - (this.#lines.length - this.#first);
  }

  get isFollowed(): boolean {
    return this.#readers > 0;
  }

  append(line: FollowedLine): void {
    this.#lines.push(line);
    this.#end += 1;
    this.#length += line.text.length + lineOverhead;
    while (this.#length > maxKeptLength && this.#lines.length - this.#first > 1) this.#dropOldest();
    if (this.#resting.size === 0) return;
    const woken = [...this.#resting];
    this.#resting.clear();
    for (const wake of woken) wake();
  }

  join(onNews: () => void): void {
    this.#readers += 1;
    this.#resting.add(onNews);
  }

  leave(onNews: () => void): void {
    this.#readers -= 1;
    this.#resting.delete(onNews);
    this.#forgetRead();
  }

  /** It has read all: it is called at the next line. */
  rest(onNews: () => void): void {
    this.#resting.add(onNews);
    this.#forgetRead();
  }

  /** At least one line where `from` is between `start` and `end`. */
  batchFrom(from: number): LineBatch {
    if (this.#made?.from === from) return this.#made.batch;
    const texts: Buffer[] = [];
    let bytes = 0;
    const offset = this.#first + from - this.start;
    for (let at = offset; at < this.#lines.length && bytes < maxKeptLength; at++) {
      const line = this.#lines[at];
      if (line === undefined) break;
      const text = this.#encode(line);
      texts.push(text);
      bytes += text.length;
    }
    const batch = new LineBatch(texts);
    this.#made = { from, batch };
    return batch;
  }

  #encode({ attempt, number, text, cut }: FollowedLine): Buffer {
    return Buffer.from(
      `${this.#head}${attempt},"line":${number},"text":${JSON.stringify(text)},"cut":${cut}}`,
    );
  }

  #dropOldest(): void {
    this.#length -= (this.#lines[this.#first]?.text.length ?? 0) + lineOverhead;
    this.#first += 1;
    if (this.#first <= 4096 || this.#first <= this.#lines.length / 2) return;
    this.#lines = this.#lines.slice(this.#first);
    this.#first = 0;
  }

  /** What everybody has read is of no use to those who come. */
  #forgetRead(): void {
    if (this.#resting.size < this.#readers) return;
    this.#lines = [];
    this.#first = 0;
    this.#length = 0;
    this.#made = null;
  }
}

export interface ReadLines {
  /** Before the batch; they are not kept any more. */
  readonly skipped: number;
  readonly batch: LineBatch;
}

export interface LineReaderDeps {
  /** There was nothing to read, and now is. Must not throw or read at once. */
  readonly onNews: () => void;
  /** Asked when lines of it are read: what was said while they might not is not told to them. */
  readonly mayRead: (drv: DrvPath) => boolean;
}

/** One who reads the lines of some derivations, of each from where it began to follow. */
export class LineReader {
  readonly #onNews: () => void;
  readonly #mayRead: (drv: DrvPath) => boolean;
  /** Where each was read to, and what it calls when it has news. */
  readonly #followed = new Map<FollowedLines, { position: number; readonly onNews: () => void }>();
  /** Those with something to read. */
  readonly #news = new Set<FollowedLines>();

  constructor({ onNews, mayRead }: LineReaderDeps) {
    this.#onNews = onNews;
    this.#mayRead = mayRead;
  }

  /** Only what is not followed. */
  follow(lines: FollowedLines): void {
    const onNews = (): void => {
      this.#news.add(lines);
      if (this.#news.size === 1) this.#onNews();
    };
    this.#followed.set(lines, { position: lines.end, onNews });
    lines.join(onNews);
  }

  /** What was told before and not read is not heard of any more. */
  unfollow(lines: FollowedLines): void {
    const followed = this.#followed.get(lines);
    this.#followed.delete(lines);
    this.#news.delete(lines);
    if (followed !== undefined) lines.leave(followed.onNews);
  }

  /** The next lines of the one that has waited longest; null where nothing waits. */
  read(): ReadLines | null {
    for (const lines of this.#news) {
      this.#news.delete(lines);
      const followed = this.#followed.get(lines);
      if (followed === undefined) continue;
      if (!this.#mayRead(lines.drv)) {
        followed.position = lines.end;
        lines.rest(followed.onNews);
        continue;
      }
      const from = Math.max(followed.position, lines.start);
      const skipped = from - followed.position;
      const batch = lines.batchFrom(from);
      followed.position = from + batch.texts.length;
      if (followed.position === lines.end) lines.rest(followed.onNews);
      else this.#news.add(lines);
      return { skipped, batch };
    }
    return null;
  }

  /** Passes over all that waits. @returns how many lines that were */
  skip(): number {
    let skipped = 0;
    for (const lines of this.#news) {
      const followed = this.#followed.get(lines);
      if (followed === undefined) continue;
      if (this.#mayRead(lines.drv)) skipped += lines.end - followed.position;
      followed.position = lines.end;
      lines.rest(followed.onNews);
    }
    this.#news.clear();
    return skipped;
  }
}
