// One event on its way to those who follow it: its text is made once, and not before somebody wants it.
import type { LiveEvent } from '@eka-ci/protocol/live';
import type { Sent } from '@eka-ci/protocol/review';

export class LiveMessage {
  readonly event: Sent<LiveEvent>;
  #json: Buffer | null = null;
  #encoded: Buffer | null = null;

  constructor(event: Sent<LiveEvent>) {
    this.event = event;
  }

  /** JSON text in UTF-8; the same bytes for everybody. */
  json(): Buffer {
    this.#json ??= Buffer.from(JSON.stringify(this.event));
    return this.#json;
  }

  /** `json()` as it is sent, made by whoever asks first; `encode` is the same for all. */
  encodedBy(encode: (texts: readonly Buffer[]) => Buffer): Buffer {
    this.#encoded ??= encode([this.json()]);
    return this.#encoded;
  }
}
