// Reads the daemon protocol's values: 64-bit little-endian numbers, and strings padded to 8 bytes.
//
// Whoever speaks may be broken or hostile: every length is compared with a bound before anything is kept for it, and
// memory is taken as bytes arrive, never as they are announced.
import type { ByteSource } from './byte-source.ts';
import { closedError, limitError, protocolError } from './daemon-error.ts';

export interface ReadLimits {
  /** Bytes of one string, or of what is kept of it. */
  readonly maxStringBytes: number;
  /** Entries of one list. */
  readonly maxListLength: number;
}

const nothing = Buffer.alloc(0);
const paddedLength = (length: number): number => Math.ceil(length / 8) * 8;

export class WireReader {
  readonly #source: ByteSource;
  readonly #limits: ReadLimits;
  #chunk: Buffer = nothing;
  #at = 0;
  #allowance = 0;
  #allowed = 0;

  constructor(source: ByteSource, limits: ReadLimits) {
    this.#source = source;
    this.#limits = limits;
  }

  /** How many bytes may be read until the next call; what is passed on by `raw` does not count. */
  allow(bytes: number): void {
    this.#allowed = bytes;
    this.#allowance = bytes;
  }

  /** What is left of that. */
  get allowance(): number {
    return this.#allowance;
  }

  /** @throws NixDaemonError NIX_DAEMON_PROTOCOL when it is larger than a JavaScript number counts exactly */
  async number(): Promise<number> {
    if (!this.#has(8)) await this.#fill(8);
    return this.#takeNumber();
  }

  async bigint(): Promise<bigint> {
    if (!this.#has(8)) await this.#fill(8);
    this.#spend(8);
    const value = this.#chunk.readBigUInt64LE(this.#at);
    this.#at += 8;
    return value;
  }

  async boolean(): Promise<boolean> {
    return (await this.bigint()) !== 0n;
  }

  /** UTF-8; what is none comes as U+FFFD. */
  async string(maxBytes = this.#limits.maxStringBytes): Promise<string> {
    const length = await this.number();
    if (length > maxBytes) throw limitError(`a string of ${length} bytes`, maxBytes);
    return this.#readText(length);
  }

  /** As `string`, but what is too long is cut and not refused: for what anybody may have printed. */
  async cutString(): Promise<string> {
    const length = await this.number();
    const { maxStringBytes } = this.#limits;
    if (length <= maxStringBytes) return this.#readText(length);
    const padded = paddedLength(length);
    this.#spend(padded);
    if (!this.#has(maxStringBytes)) await this.#fill(maxStringBytes);
    const text = this.#chunk.toString('utf8', this.#at, this.#at + maxStringBytes);
    this.#at += maxStringBytes;
    await this.raw(padded - maxStringBytes, () => {});
    return text;
  }

  /** The number of entries that follow. */
  async count(what: string): Promise<number> {
    const length = await this.number();
    const { maxListLength } = this.#limits;
    if (length > maxListLength) throw limitError(`a list of ${length} ${what}`, maxListLength);
    return length;
  }

  async strings(what: string, maxBytes = this.#limits.maxStringBytes): Promise<string[]> {
    const length = await this.count(what);
    const texts: string[] = [];
    // What has arrived is read without a pause for each.
    for (let i = 0; i < length; i++) texts.push(this.#tryString(maxBytes) ?? (await this.string(maxBytes)));
    return texts;
  }

  /** Passes exactly `length` bytes on as they arrive, and waits for whoever takes them. */
  async raw(length: number, take: (bytes: Uint8Array) => void | Promise<void>): Promise<void> {
    for (let left = length; left > 0; ) {
      if (!this.#has(1)) await this.#fill(1);
      const size = Math.min(left, this.#chunk.length - this.#at);
      const bytes = this.#chunk.subarray(this.#at, this.#at + size);
      this.#at += size;
      left -= size;
      await take(bytes);
    }
  }

  #has(bytes: number): boolean {
    return this.#chunk.length - this.#at >= bytes;
  }

  /** Until `bytes` are there in one piece; put together once, whatever number of pieces they come in. */
  async #fill(bytes: number): Promise<void> {
    const pieces = [this.#chunk.subarray(this.#at)];
    let size = this.#chunk.length - this.#at;
    while (size < bytes) {
      const piece = await this.#source.read().catch((cause: unknown) => {
        throw closedError(cause);
      });
      if (piece === null) throw closedError();
      pieces.push(piece);
      size += piece.length;
    }
    this.#chunk =
      pieces[0]?.length === 0 && pieces.length === 2 ? (pieces[1] ?? nothing) : Buffer.concat(pieces);
    this.#at = 0;
  }

  async #readText(length: number): Promise<string> {
    const padded = paddedLength(length);
    this.#checkAllowance(padded);
    if (!this.#has(padded)) await this.#fill(padded);
    return this.#takeText(length, padded);
  }

  #checkAllowance(bytes: number): void {
    if (bytes > this.#allowance) throw limitError('a message of too many bytes', this.#allowed);
  }

  #spend(bytes: number): void {
    this.#checkAllowance(bytes);
    this.#allowance -= bytes;
  }

  #takeNumber(): number {
    this.#spend(8);
    const low = this.#chunk.readUInt32LE(this.#at);
    const high = this.#chunk.readUInt32LE(this.#at + 4);
    if (high > 0x1f_ffff)
      throw protocolError(`a number of ${high.toString(16)}${low.toString(16)} hexadecimal`);
    this.#at += 8;
    return high * 0x1_0000_0000 + low;
  }

  #takeText(length: number, padded: number): string {
    this.#spend(padded);
    const start = this.#at;
    const end = start + length;
    for (let i = end; i < start + padded; i++) {
      if (this.#chunk[i] !== 0) throw protocolError('a string whose padding is not zero');
    }
    this.#at = start + padded;
    return this.#chunk.toString('utf8', start, end);
  }

  /** Null where it has not arrived, or has to be refused in its turn. */
  #tryString(maxBytes: number): string | null {
    if (!this.#has(8)) return null;
    const length = this.#chunk.readUInt32LE(this.#at);
    if (length > maxBytes || this.#chunk.readUInt32LE(this.#at + 4) !== 0) return null;
    const padded = paddedLength(length);
    if (!this.#has(8 + padded)) return null;
    this.#spend(8);
    this.#at += 8;
    return this.#takeText(length, padded);
  }
}
