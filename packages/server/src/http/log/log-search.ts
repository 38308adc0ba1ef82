// Finds lines of a log that hold a text: each byte is read once, and a line of any length costs no more than its bound.
import { createAnsiReader } from './ansi-reader.ts';

/** Where a search goes on: a byte of the log that begins a line, and the number of that line. */
export interface LogPlace {
  readonly offset: number;
  /** Counted from 1. */
  readonly line: number;
}

export interface FoundLine {
  readonly line: number;
  /** Without escapes, at most so long that the text that was sought is in it. */
  readonly text: string;
}

export interface LogSearch {
  /** Capital letters do not matter. */
  readonly q: string;
  readonly limit: number;
  readonly from: LogPlace;
  /** After so many bytes it stops, at the end of the line, or where that is far, within it. */
  readonly maxBytes: number;
}

export interface FoundLines {
  readonly lines: readonly FoundLine[];
  /** Null at the end of the log. */
  readonly next: LogPlace | null;
}

/** What comes after so many characters of a line is not searched. */
const maxLineLength = 1024 * 1024;
const shownLength = 400;
const shownBefore = 100;

/** The part of a line in which the text is. */
const excerptOf = (line: string, at: number): string => {
  if (line.length <= shownLength) return line;
  const start = Math.max(0, at - shownBefore);
  const part = line.slice(start, start + shownLength).toWellFormed();
  return `${start > 0 ? '…' : ''}${part}${start + shownLength < line.length ? '…' : ''}`;
};

const lineFeed = 0x0a;

/** One line after the other, whatever pieces they come in. */
const createLineSearch = (q: string) => {
  const wanted = q.toLowerCase();
  let line = '';
  let decoder = new TextDecoder();
  const reader = createAnsiReader({
    text: (piece) => {
      if (line.length < maxLineLength) line += piece;
    },
    newline: () => {},
    style: () => {},
  });
  return {
    /** A part of the line that holds no line feed. */
    add: (bytes: Uint8Array): void => {
      if (line.length < maxLineLength) reader.write(decoder.decode(bytes, { stream: true }));
    },
    /** The line has ended. @returns what is shown of it, or null where the text is not in it */
    end: (): string | null => {
      // A line feed of its own, so that what the line leaves open is closed.
      reader.write(`${decoder.decode()}\n`);
      decoder = new TextDecoder();
      const at = line.toLowerCase().indexOf(wanted);
      const shown = at === -1 ? null : excerptOf(line, at);
      line = '';
      return shown;
    },
  };
};

/** @param bytes the log from `from` on; not read further than is needed */
export const searchLog = async (
  bytes: AsyncIterable<Uint8Array>,
  { q, limit, from, maxBytes }: LogSearch,
): Promise<FoundLines> => {
  const lines: FoundLine[] = [];
  const search = createLineSearch(q);
  let { line, offset: lineStart } = from;
  let offset = from.offset;
  const endLine = (): void => {
    const text = search.end();
    if (text !== null) lines.push({ line, text });
  };
  for await (const piece of bytes) {
    let at = 0;
    for (let feed = piece.indexOf(lineFeed); feed !== -1; feed = piece.indexOf(lineFeed, at)) {
      search.add(piece.subarray(at, feed));
      endLine();
      at = feed + 1;
      line += 1;
      lineStart = offset + at;
      if (lines.length >= limit || lineStart - from.offset >= maxBytes) {
        return { lines, next: { offset: lineStart, line } };
      }
    }
    search.add(piece.subarray(at));
    offset += piece.byteLength;
    if (offset - from.offset >= maxBytes + maxLineLength) {
      endLine();
      return { lines, next: { offset, line } };
    }
  }
  if (offset > lineStart) endLine();
  return { lines, next: null };
};
