// What came over a live connection and waits for its one reader: never more than fits, and no loss untold.
import type { LiveEvent } from '@eka-ci/protocol/live';

/** Of the texts of all events that wait, in UTF-16 units. */
const maxWaiting = 16 * 1024 * 1024;

interface Waiting {
  readonly event: LiveEvent;
  readonly size: number;
}

export class LiveQueue implements AsyncIterable<LiveEvent> {
  readonly #max: number;
  #waiting: Waiting[] = [];
  #next = 0;
  #size = 0;
  /** Events that were left out behind the last one that waits. */
  #skipped = 0;
  #end: { readonly fault: Error | null } | null = null;
  #wake: () => void = () => {};

  constructor(max = maxWaiting) {
    this.#max = max;
  }

  /** @param size of its text. What does not fit is left out, and the reader told how many were. */
  add(event: LiveEvent, size: number): void {
    if (this.#end !== null) return;
    // One that was too large for an empty queue would never come through.
    const isFull = this.#size > 0 && this.#size + size > this.#max;
    if (isFull || (this.#skipped > 0 && this.#next < this.#waiting.length)) {
      this.#skipped += event.type === 'skipped' ? event.events : 1;
      return;
    }
    this.#tellSkipped();
    this.#push(event, size);
    this.#wake();
  }

  /** What waits is still read; then the reader meets the fault, or the end where it is null. */
  end(fault: Error | null): void {
    this.#end ??= { fault };
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<LiveEvent> {
    for (;;) {
      const event = this.#take();
      if (event !== null) yield event;
      else if (this.#end === null) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      } else if (this.#end.fault !== null) throw this.#end.fault;
      else return;
    }
  }

  #push(event: LiveEvent, size: number): void {
    this.#waiting.push({ event, size });
    this.#size += size;
  }

  #tellSkipped(): void {
    if (this.#skipped === 0) return;
    this.#push({ type: 'skipped', events: this.#skipped }, 0);
    this.#skipped = 0;
  }

  #take(): LiveEvent | null {
    if (this.#next === this.#waiting.length) {
      this.#waiting = [];
      this.#next = 0;
      this.#tellSkipped();
    }
    const first = this.#waiting[this.#next];
    if (first === undefined) return null;
    this.#next += 1;
    this.#size -= first.size;
    if (this.#next > 1024 && this.#next > this.#waiting.length / 2) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
    return first.event;
  }
}
