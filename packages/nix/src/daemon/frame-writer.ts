// Sends bytes of unknown number in frames: a length and so many bytes, without padding, until a length of zero.
import type { Writable } from 'node:stream';
import { closedError } from './daemon-error.ts';

const frameBytes = 64 * 1024;

const lengthOf = (bytes: number): Buffer => {
  const prefix = Buffer.alloc(8);
  prefix.writeUInt32LE(bytes, 0); // Never 4 GiB or more: a buffer is no larger.
  return prefix;
};

export class FrameWriter {
  readonly #output: Writable;
  readonly #onProgress: (() => void) | undefined;
  /** Small pieces wait here for others. */
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #hasEnded = false;

  constructor(output: Writable, onProgress?: () => void) {
    this.#output = output;
    this.#onProgress = onProgress;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Waits while the daemon is slower. The bytes must not change afterwards. @throws NixDaemonError NIX_DAEMON_CLOSED */
  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    this.#waiting.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes >= frameBytes) await this.#flush();
  }

  /** Sends what waits, and the end. */
  async end(): Promise<void> {
    await this.#flush();
    this.#hasEnded = true;
    await this.#put([lengthOf(0)]);
  }

  async #flush(): Promise<void> {
    if (this.#waitingBytes === 0) return;
    const pieces = [lengthOf(this.#waitingBytes), ...this.#waiting];
    this.#waiting = [];
    this.#waitingBytes = 0;
    await this.#put(pieces);
  }

  async #put(pieces: readonly Buffer[]): Promise<void> {
    if (!this.#output.writable) throw closedError();
    this.#onProgress?.();
    this.#output.cork();
    let hasRoom = true;
    for (const piece of pieces) hasRoom = this.#output.write(piece);
    this.#output.uncork();
    if (!hasRoom) await this.#drained();
    this.#onProgress?.();
  }

  #drained(): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        this.#output.off('drain', onDrain);
        this.#output.off('close', onClose);
      };
      const onDrain = (): void => {
        stop();
        resolve();
      };
      const onClose = (): void => {
        stop();
        reject(closedError());
      };
      this.#output.on('drain', onDrain);
      this.#output.on('close', onClose);
      if (this.#output.destroyed) onClose();
    });
  }
}
