// What waits to be sent to one reader: bounded, and a reader that is too slow for it is told how much it missed.
import type { LiveMessage } from '../../pipeline/live-message.ts';

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
 * Text messages as the bytes of a server's WebSocket. All that waits is made one write: with a hundred readers of one
 * log a write for each line and each of them would take all of a processor.
 */
export const framesOf = (texts: readonly Buffer[]): Buffer => {
  const size = texts.reduce((sum, { length }) => sum + headerBytes(length) + length, 0);
  const batch = Buffer.allocUnsafe(size);
  texts.reduce((at, text) => writeFrame(batch, at, text), 0);
  return batch;
};

export interface OutboxDeps {
  readonly socket: { write(batch: Buffer, onSent: () => void): unknown };
  /** Something waits: `flush` is to be called soon. */
  readonly onWaiting: () => void;
  /** What was flushed last is on its way. */
  readonly onSent: () => void;
}

export class Outbox {
  readonly #deps: OutboxDeps;
  #waiting: Buffer[] = [];
  #bytes = 0;
  /** Left out since the last message that waits. */
  #skipped = 0;
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
    // Most of a loud build ends here, for each of its readers.
    if (this.#bytes >= maxWaitingBytes) {
      this.#skipped += 1;
      this.#skippedTotal += 1;
      return;
    }
    this.#sentTotal += 1;
    this.#push(message.json());
  }

  /** True: who asks for an answer now should wait until what waits is sent. */
  get isFull(): boolean {
    return this.#bytes >= maxWaitingBytes;
  }

  /** Takes what must not be left out. */
  answer(message: LiveMessage): void {
    if (this.#isClosed) return;
    this.#tellSkipped();
    this.#push(message.json());
  }

  /** Sends all that waits, unless what was sent before is still on its way. */
  flush(): void {
    if (this.#isSending || this.#isClosed) return;
    this.#tellSkipped();
    if (this.#waiting.length === 0) return;
    const batch = framesOf(this.#waiting);
    this.#waiting = [];
    this.#bytes = 0;
    this.#isSending = true;
    this.#deps.socket.write(batch, () => {
      this.#isSending = false;
      this.#deps.onSent();
      if (this.#waiting.length > 0 || this.#skipped > 0) this.#deps.onWaiting();
    });
  }

  /** Nothing is taken or sent any more. */
  close(): void {
    this.#isClosed = true;
    this.#waiting = [];
    this.#bytes = 0;
  }

  #push(text: Buffer): void {
    this.#waiting.push(text);
    this.#bytes += text.length;
    if (!this.#isSending) this.#deps.onWaiting();
  }

  #tellSkipped(): void {
    if (this.#skipped === 0) return;
    const events = this.#skipped;
    this.#skipped = 0;
    this.#push(Buffer.from(JSON.stringify({ type: 'skipped', events })));
  }
}
