// What a hook prints, into its log: masked, from its beginning as far as a bound, and its end. Beyond the bound bytes are
// only counted, so that one that prints without end costs the server little more than the reading.
import { isAscii } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { LogFile } from '../../lib/log-file.ts';
import type { SecretMask } from '../../lib/secret-mask.ts';

export interface HookOutputDeps {
  readonly log: LogFile;
  readonly mask: Pick<SecretMask, 'line'>;
  /** Of all streams together: so much is taken line by line. @default 4 MiB */
  readonly headBytes?: number;
  /** Of each stream: so much of what comes after is kept. @default 256 KiB */
  readonly tailBytes?: number;
}

export interface HookOutput {
  /** Reads a stream to its end; never rejects, for a stream may be cut off. */
  read(stream: Readable): Promise<void>;
  /** Adds a line of the server's own. */
  say(line: string): void;
  /** Writes what was kept of the end. Once, after every `read`. */
  finish(): void;
  /** Bytes that were printed. */
  printedBytes(): number;
  /** SHA-256 of the log's text, in hexadecimal; to be asked when all is written. */
  logSha256(): string;
}

const lineFeed = 10;
/** A longer line is cut. */
const maxLine = 64 * 1024;
const hashedAtOnce = 64 * 1024;
/** Longer than a line of any secret: what is cut off in the middle of one must not show the rest of it. */
const margin = 16 * 1024;

/** The newest bytes of a stream. */
class Tail {
  readonly #limit: number;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #dropped = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get droppedBytes(): number {
    return this.#dropped;
  }

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes - (this.#chunks[0]?.length ?? 0) >= this.#limit) {
      const oldest = this.#chunks.shift();
      if (oldest === undefined) return;
      this.#bytes -= oldest.length;
      this.#dropped += oldest.length;
    }
  }

  /** From the start of a line on; of one that has none so much less that nothing of a cut secret is left. */
  take(): Buffer {
    const all = Buffer.concat(this.#chunks);
    if (this.#dropped === 0) return all;
    const lineEnd = all.indexOf(lineFeed);
    const from = lineEnd === -1 ? Math.min(all.length, margin) : lineEnd + 1;
    this.#dropped += from;
    return all.subarray(from);
  }
}

/** Takes bytes apart into lines; of a long one only its beginning stays in memory. */
class Lines {
  readonly #onLine: (line: Buffer, isCut: boolean) => void;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(onLine: (line: Buffer, isCut: boolean) => void) {
    this.#onLine = onLine;
  }

  add(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, from)) {
      this.#extend(chunk.subarray(from, end));
      this.#finish();
      from = end + 1;
    }
    this.#extend(chunk.subarray(from));
  }

  end(): void {
    if (this.#bytes > 0) this.#finish();
  }

  /** What follows on the line that has begun is not known. */
  cut(): void {
    if (this.#bytes > 0) this.#finish(true);
  }

  #extend(part: Buffer): void {
    const room = maxLine - this.#bytes;
    if (room > 0 && part.length > 0) this.#parts.push(part.subarray(0, room));
    this.#bytes += part.length;
  }

  #finish(isCut = this.#bytes > maxLine): void {
    const [first, ...more] = this.#parts;
    this.#onLine(first !== undefined && more.length === 0 ? first : Buffer.concat(this.#parts), isCut);
    this.#parts = [];
    this.#bytes = 0;
  }
}

/** What was printed by one stream after the bound. */
interface Rest {
  readonly lines: Lines;
  readonly tail: Tail;
}

export const createHookOutput = ({
  log,
  mask,
  headBytes = 4 * 1024 * 1024,
  tailBytes = 256 * 1024,
}: HookOutputDeps): HookOutput => {
  const hash = createHash('sha256');
  const rests: Rest[] = [];
  let printed = 0;

  /** Text that is not in the hash yet: by lines it takes more time than all the rest. */
  let unhashed = '';
  const hashText = (): void => {
    hash.update(unhashed);
    unhashed = '';
  };

  const write = (line: Uint8Array | string): void => {
    log.write(line);
    if (typeof line === 'string') {
      unhashed += line;
    } else {
      hashText();
      hash.update(line);
    }
    unhashed += '\n';
    if (unhashed.length >= hashedAtOnce) hashText();
  };
  const onLine = (line: Buffer, isCut: boolean): void => {
    // What is text for certain costs a third as text.
    const masked = mask.line(isAscii(line) && !isCut ? line.toString('latin1') : line);
    if (!isCut) return write(masked);
    // Of a secret that the cut goes through nothing was masked.
    const shown = Buffer.from(masked).subarray(0, Math.max(0, masked.length - margin));
    write(Buffer.concat([shown, Buffer.from(' [EkaCI cut this line here]')]));
  };

  return {
    async read(stream) {
      const rest: Rest = { lines: new Lines(onLine), tail: new Tail(tailBytes) };
      rests.push(rest);
      try {
        for await (const chunk of stream) {
          const bytes = chunk as Buffer;
          const isOver = printed > headBytes;
          printed += bytes.length;
          if (isOver) {
            rest.tail.add(bytes);
            continue;
          }
          rest.lines.add(bytes);
          const pressure = log.pressure();
          if (pressure !== null) await pressure;
        }
      } catch {
        // Whoever held it was ended: what came until then is the output.
      }
    },
    say: (line) => onLine(Buffer.from(line), false),
    finish() {
      for (const { lines, tail } of rests) {
        const end = tail.take();
        if (tail.droppedBytes > 0) {
          lines.cut();
          write(`[EkaCI left out ${tail.droppedBytes} bytes of this log here: it is longer than the limit]`);
        }
        lines.add(end);
        lines.end();
      }
    },
    printedBytes: () => printed,
    logSha256() {
      hashText();
      return hash.copy().digest('hex');
    },
  };
};
