// Writes the daemon protocol's values into one growing buffer: a request leaves in one piece.
import { NixDaemonError } from './daemon-error.ts';

/** @throws NixDaemonError NIX_DAEMON_BAD_REQUEST unless it is a whole number from 0 to 2^53-1 */
export const requireWhole = (value: number): number => {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new NixDaemonError('NIX_DAEMON_BAD_REQUEST', `a Nix daemon cannot be told the number ${value}`);
};

export class WireWriter {
  #buffer = Buffer.allocUnsafe(1024);
  #length = 0;

  /** @throws NixDaemonError NIX_DAEMON_BAD_REQUEST unless it is a whole number from 0 to 2^53-1 */
  number(value: number): this {
    requireWhole(value);
    this.#reserve(8);
    this.#buffer.writeUInt32LE(value % 0x1_0000_0000, this.#length);
    this.#buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), this.#length + 4);
    this.#length += 8;
    return this;
  }

  boolean(value: boolean): this {
    return this.number(value ? 1 : 0);
  }

  string(text: string): this {
    const length = Buffer.byteLength(text);
    const padded = Math.ceil(length / 8) * 8;
    this.number(length);
    this.#reserve(padded);
    this.#buffer.write(text, this.#length, 'utf8');
    this.#buffer.fill(0, this.#length + length, this.#length + padded);
    this.#length += padded;
    return this;
  }

  strings(texts: Iterable<string>): this {
    const list = [...texts];
    this.number(list.length);
    for (const text of list) this.string(text);
    return this;
  }

  /** What was written; the writer must not be used any more. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }
}
