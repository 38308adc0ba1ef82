// A dense bit set of node ids: one bit a node, whatever is in it.
import type { NodeId } from './drv-node.ts';

const bitCount = (word: number): number => {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
};

/** Grows when an id past its capacity is added; ids past it are not in it. */
export class NodeSet {
  #words: Uint32Array;

  /** @param capacity how many ids (0 to capacity - 1) to make room for at once. */
  constructor(capacity: number) {
    this.#words = new Uint32Array((capacity + 31) >>> 5);
  }

  static of(ids: Iterable<NodeId>): NodeSet {
    const set = new NodeSet(0);
    for (const id of ids) set.add(id);
    return set;
  }

  add(id: NodeId): void {
    const index = id >>> 5;
    if (index >= this.#words.length) {
      const grown = new Uint32Array(Math.max(index + 1, this.#words.length * 2));
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words[index] = (this.#words[index] ?? 0) | (1 << (id & 31));
  }

  delete(id: NodeId): void {
    const index = id >>> 5;
    if (index < this.#words.length) this.#words[index] = (this.#words[index] ?? 0) & ~(1 << (id & 31));
  }

  has(id: NodeId): boolean {
    return (((this.#words[id >>> 5] ?? 0) >>> (id & 31)) & 1) === 1;
  }

  /** True where all its ids are in the other. */
  isWithin(other: NodeSet): boolean {
    return this.#words.every((word, index) => (word & ~(other.#words[index] ?? 0)) === 0);
  }

  /** How many ids are in it; counted when asked, in O(capacity / 32). */
  get size(): number {
    let size = 0;
    for (const word of this.#words) size += bitCount(word);
    return size;
  }

  get sizeBytes(): number {
    return this.#words.byteLength;
  }

  /** Ascending. */
  toArray(): Uint32Array {
    const ids = new Uint32Array(this.size);
    let length = 0;
    const words = this.#words;
    for (let index = 0; index < words.length; index++) {
      for (let rest = words[index] ?? 0; rest !== 0; rest &= rest - 1) {
        ids[length++] = index * 32 + 31 - Math.clz32(rest & -rest);
      }
    }
    return ids;
  }

  /** Ascending. */
  [Symbol.iterator](): IterableIterator<NodeId> {
    // Several times as fast as a generator.
    return this.toArray().values();
  }
}
