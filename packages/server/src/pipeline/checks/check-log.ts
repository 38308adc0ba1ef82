// The output of a check, by lines into its log: masked, capped, and the newest of it told while it speaks.
import { join } from 'node:path';
import { createLogFile } from '../../lib/log-file.ts';
import type { SecretMask } from '../../lib/secret-mask.ts';
import type { LogCompression } from '../builds/log-compression.ts';

export interface CheckLogDeps {
  /** Absolute. */
  readonly folder: string;
  /** Of one log on disk; beyond it head and tail are kept. */
  readonly maxBytes: number;
  /** Null or absent: there is no secret that a check could print. */
  readonly mask?: SecretMask | null;
  /** Null or absent: logs stay as they are written. */
  readonly compression?: Pick<LogCompression, 'writing'> | null;
}

/** Lines that follow each other; what was left out before them is in the log alone. */
export interface SpokenLines {
  /** Of the first of them, counted from 1 in the lines of the log. */
  readonly line: number;
  readonly lines: readonly string[];
}

export interface CheckLog {
  /** Any bytes, cut anywhere. */
  write(chunk: Uint8Array): void;
  /** @returns the last lines, and why the file is not complete; null where it is */
  close(): Promise<{ readonly tail: readonly string[]; readonly fault: string | null }>;
}

/** How much of its end is kept with what came of it. */
const keptLines = 20;
/** Told at once, and how often: a reader's eye needs no more. */
const spokenLines = 50;
const speakEveryMs = 200;
/** Of a line that is kept or told, in bytes; the whole of it is in the log. */
const longestShown = 4000;
/** A longer line is cut in parts: nothing of it may wait in memory until its end. */
const longestLine = 1024 * 1024;
const lineFeed = 10;

/** Named as logs of builds are, so that they age and are compressed as these. @param id a UUID */
export const checkLogFileOf = (id: string): string => {
  const digits = id.replaceAll('-', '');
  return join(digits.slice(0, 2), `${digits.slice(2)}-check.1.log`);
};

const countLines = (block: Uint8Array): number => {
  let count = 1;
  // By hand: a search for each would take seconds where lines are empty.
  for (let at = 0; at < block.length; at++) if (block[at] === lineFeed) count += 1;
  return count;
};

/** The last lines of a block without its last line feed; nothing else of it is looked at. */
const lastLines = (block: Uint8Array, most: number): string[] => {
  const lines: string[] = [];
  let end = block.length;
  while (lines.length < most && end >= 0) {
    const start = end === 0 ? 0 : block.lastIndexOf(lineFeed, end - 1) + 1;
    const shown = block.subarray(start, Math.min(end, start + longestShown));
    lines.push(Buffer.from(shown).toString('utf8'));
    end = start - 1;
  }
  return lines.reverse();
};

/** Tells the newest lines a few times a second. */
const createSpeaker = (onLines: (spoken: SpokenLines) => void) => {
  let newest: string[] = [];
  let count = 0;
  let told = 0;
  let timer: NodeJS.Timeout | null = null;
  const flush = (): void => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    const lines = newest.slice(-(count - told));
    if (count === told) return;
    told = count;
    onLines({ line: count - lines.length + 1, lines });
  };
  return {
    flush,
    tail: () => newest.slice(-keptLines),
    add(lines: readonly string[], of: number): void {
      count += of;
      newest = [...newest, ...lines].slice(-spokenLines);
      timer ??= setTimeout(flush, speakEveryMs);
    },
  };
};

/** @param id of the run */
export const openCheckLog = (
  { folder, maxBytes, mask = null, compression = null }: CheckLogDeps,
  id: string,
  onLines: (spoken: SpokenLines) => void,
): CheckLog => {
  const file = checkLogFileOf(id);
  const endWriting = compression?.writing(file);
  const log = createLogFile({ path: join(folder, file), maxBytes });
  const speaker = createSpeaker(onLines);
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  const wait = (part: Uint8Array): void => {
    if (part.length === 0) return;
    // A copy: the sender may use its memory again.
    waiting.push(Buffer.from(part));
    waitingBytes += part.length;
  };
  /** Whole lines at once, however short they are: line by line, 64 MiB of them would take minutes. */
  const writeOut = (): void => {
    const said = Buffer.concat(waiting);
    waiting = [];
    waitingBytes = 0;
    const masked = mask === null ? said : mask.line(said);
    const block = typeof masked === 'string' ? Buffer.from(masked) : masked;
    log.write(block);
    speaker.add(lastLines(block, spokenLines), countLines(block));
  };
  return {
    write(chunk) {
      const end = chunk.lastIndexOf(lineFeed);
      if (end >= 0) {
        wait(chunk.subarray(0, end));
        writeOut();
      }
      wait(chunk.subarray(end + 1));
      if (waitingBytes >= longestLine) writeOut();
    },
    async close() {
      if (waitingBytes > 0) writeOut();
      const { fault } = await log.close();
      speaker.flush();
      endWriting?.();
      return { tail: speaker.tail(), fault };
    },
  };
};
