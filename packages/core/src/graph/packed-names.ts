// Derivation names, each kept once as bytes: a hundred commits of a package set share most of theirs.
import { growUint8, growUint32 } from './growable.ts';
import { rememberById } from './interner.ts';

const EMPTY_SLOT = 0;

/** Holds ASCII only (Nix allows letters, digits and `+-._?=`); the caller keeps other names elsewhere. */
export class PackedNames {
  #bytes = new Uint8Array(64);
  /** Name n lies at #ends[n] up to #ends[n + 1]. */
  #ends = new Uint32Array(64);
  #count = 0;
  /** Open addressing; a slot holds a name's id + 1. */
  #slots = new Uint32Array(64);

  static isPackable(text: string, from: number, to: number): boolean {
    for (let at = from; at < to; at++) if (text.charCodeAt(at) > 127) return false;
    return true;
  }

  get sizeBytes(): number {
    return this.#bytes.byteLength + this.#ends.byteLength + this.#slots.byteLength;
  }

  /** A function that keeps a name of `others` here, which has no names of its own, and gives its id here. */
  moverFrom(others: PackedNames): (id: number) => number {
    // Each is there once: nothing of them need be compared.
    return rememberById((id) => this.#adopt(others.#bytes, others.#ends[id] ?? 0, others.#ends[id + 1] ?? 0));
  }

  /** The id of the name in `text` from `from` up to `to`, kept from now on. */
  intern(text: string, from: number, to: number): number {
    const mask = this.#slots.length - 1;
    let slot = hashOfText(text, from, to) & mask;
    for (; ; slot = (slot + 1) & mask) {
      const found = this.#slots[slot] ?? EMPTY_SLOT;
      if (found === EMPTY_SLOT) break;
      if (this.equals(found - 1, text, from, to)) return found - 1;
    }
    const id = this.#append(text, from, to);
    this.#slots[slot] = id + 1;
    if (this.#count * 4 > this.#slots.length * 3) this.#rehash();
    return id;
  }

  // oxlint-disable-next-line max-params -- asked once an edge: a range object each time would cost more than the answer
  equals(id: number, text: string, from: number, to: number): boolean {
    const bytes = this.#bytes;
    const start = this.#ends[id] ?? 0;
    if ((this.#ends[id + 1] ?? 0) - start !== to - from) return false;
    // From the end: names differ there more often (versions, extensions).
    for (let at = to - 1, byte = start + to - from - 1; at >= from; at--, byte--) {
      if (bytes[byte] !== text.charCodeAt(at)) return false;
    }
    return true;
  }

  textOf(id: number): string {
    const bytes = this.#bytes.subarray(this.#ends[id] ?? 0, this.#ends[id + 1] ?? 0);
    // Three times as fast as spreading them, which makes an array first.
    return String.fromCharCode.apply(null, bytes as unknown as number[]);
  }

  #append(text: string, from: number, to: number): number {
    const id = this.#count++;
    const start = this.#ends[id] ?? 0;
    this.#ends = growUint32(this.#ends, id + 2);
    this.#bytes = growUint8(this.#bytes, start + to - from);
    for (let at = from; at < to; at++) this.#bytes[start + at - from] = text.charCodeAt(at);
    this.#ends[id + 1] = start + to - from;
    return id;
  }

  #adopt(bytes: Uint8Array, from: number, to: number): number {
    const id = this.#count++;
    const start = this.#ends[id] ?? 0;
    this.#ends = growUint32(this.#ends, id + 2);
    this.#bytes = growUint8(this.#bytes, start + to - from);
    for (let at = from; at < to; at++) this.#bytes[start + at - from] = bytes[at] ?? 0;
    this.#ends[id + 1] = start + to - from;
    if (this.#count * 4 > this.#slots.length * 3) this.#rehash();
    else this.#enter(id);
    return id;
  }

  #rehash(): void {
    this.#slots = new Uint32Array(this.#slots.length * 2);
    for (let id = 0; id < this.#count; id++) this.#enter(id);
  }

  #enter(id: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = this.#hashOfName(id) & mask;
    while (slots[slot] !== EMPTY_SLOT) slot = (slot + 1) & mask;
    slots[slot] = id + 1;
  }

  #hashOfName(id: number): number {
    const end = this.#ends[id + 1] ?? 0;
    let hash = FNV_BASIS;
    for (let at = this.#ends[id] ?? 0; at < end; at++) {
      hash = Math.imul(hash ^ (this.#bytes[at] ?? 0), FNV_PRIME);
    }
    return spread(hash);
  }
}

const FNV_BASIS = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const spread = (hash: number): number => (hash ^ (hash >>> 15)) >>> 0;

function hashOfText(text: string, from: number, to: number): number {
  let hash = FNV_BASIS;
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ text.charCodeAt(at), FNV_PRIME);
  return spread(hash);
}
