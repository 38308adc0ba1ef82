// What waits to be sent to one reader: bounded, and a reader that is too slow for it is told how much it missed.
import type { LineReader } from '../../pipeline/live/live-lines.ts';
import type { LiveMessage } from '../../pipeline/live/live-message.ts';

/** Events are left out while more than this waits; beside it one batch of as much is on its way. */
const maxWaitingBytes = 256 * 1024;

const headerBytes = (length: number): number => (length < 126 ? 2 : length < 65_536 ? 4 : 10);

/** A whole text message in one unmasked frame (RFC 6455, 5.2). @returns where the next one begins */
const writeFrame = (batch: Buffer, at: number, text: Buffer): number => {
  const { length } = text;
  const start = at + headerBytes(length);
  batch[at] = 0x81;
  if (length < 126) batch[at + 1] = length;
  else if (length < 65_536) {
    batch[at + 1] = 126;
    batch.writeUInt16BE(length, at + 2);
  } else {
    batch[at + 1] = 127;
    batch.writeBigUInt64BE(BigInt(length), at + 2);
  }
  text.copy(batch, start);
  return start + length;
};

/**
 * Text messages as the bytes of a server's WebSocket, made once for all who get them. All that waits is one write: with a
 * hundred readers of one log a write for each line and each of them would take all of a processor.
 */
export const framesOf = (texts: readonly Buffer[]): Buffer => {
  const size = texts.reduce((sum, { length }) => sum + headerBytes(length) + length, 0);
  const batch = Buffer.allocUnsafe(size);
  texts.reduce((at, text) => writeFrame(batch, at, text), 0);
  return batch;
};

export interface OutboxDeps {
  readonly socket: { write(batch: Buffer, onSent: () => void): unknown };
  /** Lines of logs that the reader follows. They wait there and not here, but for what is sent next. */
  readonly lines: Pick<LineReader, 'read' | 'skip'>;
  /** Something waits: `flush` is to be called soon. */
  readonly onWaiting: () => void;
  /** What was flushed last is on its way. */
  readonly onSent: () => void;
}

export class Outbox {
  readonly #deps: OutboxDeps;
  /** Frames. */
  #waiting: Buffer[] = [];
  #bytes = 0;
  /** Left out since the last message that waits. */
  #skipped = 0;
  /** Lines wait to be read. */
  #hasLines = false;
  #isSending = false;
  #isClosed = false;
  #sentTotal = 0;
  #skippedTotal = 0;

  constructor(deps: OutboxDeps) {
    this.#deps = deps;
  }

  /** Events that were handed to the connection, and events that were left out. */
  get totals(): { readonly sent: number; readonly skipped: number } {
    return { sent: this.#sentTotal, skipped: this.#skippedTotal };
  }

  /** Takes an event, or leaves it out where too much waits. */
  add(message: LiveMessage): void {
    if (this.#isClosed) return;
    this.takeAllLines();
    if (this.isFull) return this.#skip(1);
    this.#sentTotal += 1;
    this.#tellSkipped();
    this.#push(message.encodedBy(framesOf));
  }

  /** Lines can be read, where there were none. */
  onLines(): void {
    this.#hasLines = true;
    if (!this.#isSending && !this.#isClosed) this.#deps.onWaiting();
  }

  /** What can be read by now waits here, or is left out: it comes before whatever comes next. */
  takeAllLines(): void {
    this.#takeLines();
    if (!this.#hasLines) return;
    this.#hasLines = false;
    this.#skip(this.#deps.lines.skip());
  }

  /** True: who asks for an answer now should wait until what waits is sent. */
  get isFull(): boolean {
    return this.#bytes >= maxWaitingBytes;
  }

  /** Takes what must not be left out. What can be read of logs by now comes before it. */
  answer(message: LiveMessage): void {
    if (this.#isClosed) return;
    this.takeAllLines();
    this.#tellSkipped();
    this.#push(message.encodedBy(framesOf));
  }

  /** Sends all that waits, unless what was sent before is still on its way. */
  flush(): void {
    if (this.#isSending || this.#isClosed) return;
    this.#takeLines();
    this.#tellSkipped();
    const [first, ...others] = this.#waiting;
    if (first === undefined) return;
    // Mostly it is one batch of lines, which is not copied for each of its readers.
    const batch = others.length === 0 ? first : Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#bytes = 0;
    this.#isSending = true;
    this.#deps.socket.write(batch, () => {
      this.#isSending = false;
      this.#deps.onSent();
      if (this.#waiting.length > 0 || this.#skipped > 0 || this.#hasLines) this.#deps.onWaiting();
    });
  }

  /** Nothing is taken or sent any more. */
  close(): void {
    this.#isClosed = true;
    this.#waiting = [];
    this.#bytes = 0;
  }

  /** As much as there is room for. */
  #takeLines(): void {
    while (this.#hasLines && !this.isFull) {
      const read = this.#deps.lines.read();
      if (read === null) {
        this.#hasLines = false;
        return;
      }
      const { skipped, batch } = read;
      this.#skip(skipped);
      this.#tellSkipped();
      this.#sentTotal += batch.texts.length;
      this.#push(batch.encodedBy(framesOf));
    }
  }

  #push(frames: Buffer): void {
    this.#waiting.push(frames);
    this.#bytes += frames.length;
    if (!this.#isSending) this.#deps.onWaiting();
  }

  #skip(events: number): void {
    this.#skipped += events;
    this.#skippedTotal += events;
  }

  #tellSkipped(): void {
    if (this.#skipped === 0) return;
    const events = this.#skipped;
    this.#skipped = 0;
    this.#push(framesOf([Buffer.from(JSON.stringify({ type: 'skipped', events }))]));
  }
}
