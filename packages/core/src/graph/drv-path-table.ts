// Derivation paths to dense ids and back, in about 60 bytes a path where a Map of strings takes 200.
import type { NodeId } from '../drv-node.ts';
import type { DrvPath } from '../ids.ts';
import type { NodeSet } from '../node-set.ts';
import { growUint32 } from './growable.ts';
import { HASH_LENGTH, HASH_WORDS, mixHash, packHash, unpackHash } from './packed-hash.ts';
import { PackedNames } from './packed-names.ts';

const SUFFIX = '.drv';
const EMPTY_SLOT = 0;
/** Name id of a path that is kept whole, and of a free id. */
const KEPT_WHOLE = 0xffffffff;

/**
 * A usual path, `<store directory>/<hash>-<name>.drv` in the store directory of the first one, is packed.
 * Any other text is kept whole beside.
 */
export class DrvPathTable {
  #bound = 0;
  /** Below the bound and nobody's; the least last. */
  #freeIds: NodeId[] = [];
  /** With the slash at its end; null until the first usual path. */
  #storePrefix: string | null = null;
  #hashes = new Uint32Array(64 * HASH_WORDS);
  #nameIds = new Uint32Array(64);
  #names = new PackedNames();
  /** Open addressing; a slot holds a node's id + 1. */
  #slots = new Uint32Array(64);
  readonly #wholeIds = new Map<string, NodeId>();
  readonly #wholePaths = new Map<NodeId, DrvPath>();
  readonly #probed = new Uint32Array(HASH_WORDS);

  /** All ids are below it. */
  get bound(): number {
    return this.#bound;
  }

  get count(): number {
    return this.#bound - this.#freeIds.length;
  }

  /** Without what paths that are kept whole take. */
  get sizeBytes(): number {
    const columns = [this.#hashes, this.#nameIds, this.#slots];
    return columns.reduce((sum, { byteLength }) => sum + byteLength, this.#names.sizeBytes);
  }

  /** The common start of the packed paths, slash included; '' while there are none. */
  get storePrefix(): string {
    return this.#storePrefix ?? '';
  }

  find(path: DrvPath): NodeId | undefined {
    if (!this.#isUsual(path)) return this.#wholeIds.get(path);
    const found = this.#slots[this.#slotOf(path)] ?? EMPTY_SLOT;
    return found === EMPTY_SLOT ? this.#wholeIds.get(path) : found - 1;
  }

  /** The path's id; a free one where it was not known. */
  intern(path: DrvPath): NodeId {
    if (this.#storePrefix === null) this.#storePrefix = storePrefixOf(path);
    if (!this.#isUsual(path)) return this.#internWhole(path);
    const slot = this.#slotOf(path);
    const found = this.#slots[slot] ?? EMPTY_SLOT;
    if (found !== EMPTY_SLOT) return found - 1;
    const from = this.#nameStart();
    const to = path.length - SUFFIX.length;
    // Kept whole too if it came before the store directory was known.
    if (!PackedNames.isPackable(path, from, to) || this.#wholeIds.has(path)) return this.#internWhole(path);

    const id = this.#append(this.#names.intern(path, from, to));
    this.#hashes.set(this.#probed, id * HASH_WORDS);
    this.#slots[slot] = id + 1;
    if (this.count * 3 > this.#slots.length * 2) this.#rehash(this.#slots.length * 2);
    return id;
  }

  /** Forgets all other paths; their ids are given to others. */
  keepOnly(kept: NodeSet): void {
    const gone: NodeId[] = [];
    let bound = 0;
    for (let id = 0; id < this.#bound; id++) {
      if (kept.has(id)) bound = id + 1;
      else gone.push(id);
    }
    for (const id of gone) {
      const whole = this.#wholePaths.get(id);
      if (whole !== undefined) this.#wholeIds.delete(whole);
      this.#wholePaths.delete(id);
      this.#nameIds[id] = KEPT_WHOLE;
    }
    this.#freeIds = gone.filter((id) => id < bound).reverse();
    this.#bound = bound;
    this.#hashes = this.#hashes.slice(0, bound * HASH_WORDS);
    this.#nameIds = this.#nameIds.slice(0, bound);
    const names = new PackedNames();
    const move = names.moverFrom(this.#names);
    for (const id of kept.toArray()) {
      const nameId = this.#nameIds[id] ?? KEPT_WHOLE;
      if (nameId !== KEPT_WHOLE) this.#nameIds[id] = move(nameId);
    }
    this.#names = names;
    let slots = 64;
    while (this.count * 3 > slots * 2) slots *= 2;
    this.#rehash(slots);
  }

  pathOf(id: NodeId): DrvPath {
    const whole = this.#wholePaths.get(id);
    if (whole !== undefined) return whole;
    const hash = unpackHash(this.#hashes, id * HASH_WORDS);
    // The same characters that were a DrvPath when they were packed.
    return `${this.storePrefix}${hash}-${this.#names.textOf(this.#nameIds[id] ?? 0)}${SUFFIX}` as DrvPath;
  }

  /** Without hash and '.drv'. */
  nameOf(id: NodeId): string {
    const whole = this.#wholePaths.get(id);
    if (whole === undefined) return this.#names.textOf(this.#nameIds[id] ?? 0);
    const base = whole.slice(whole.lastIndexOf('/') + 1);
    const name = /^[0-9a-z]{32}-/.test(base) ? base.slice(HASH_LENGTH + 1) : base;
    return name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : name;
  }

  #nameStart(): number {
    return this.storePrefix.length + HASH_LENGTH + 1;
  }

  /** Leaves the packed hash in #probed. */
  #isUsual(path: string): boolean {
    const prefix = this.#storePrefix;
    return (
      prefix !== null &&
      path.length > prefix.length + HASH_LENGTH + 1 + SUFFIX.length &&
      path.startsWith(prefix) &&
      path.charCodeAt(prefix.length + HASH_LENGTH) === 0x2d &&
      path.endsWith(SUFFIX) &&
      packHash(path, prefix.length, this.#probed, 0)
    );
  }

  /** The slot that holds the path, else the free one where it belongs. */
  #slotOf(path: string): number {
    const probed = this.#probed;
    const hashes = this.#hashes;
    const slots = this.#slots;
    const mask = slots.length - 1;
    const from = this.#nameStart();
    const to = path.length - SUFFIX.length;
    for (let slot = mixHash(probed, 0) & mask; ; slot = (slot + 1) & mask) {
      const found = slots[slot] ?? EMPTY_SLOT;
      if (found === EMPTY_SLOT) return slot;
      const at = (found - 1) * HASH_WORDS;
      if (
        hashes[at] === probed[0] &&
        hashes[at + 1] === probed[1] &&
        hashes[at + 2] === probed[2] &&
        hashes[at + 3] === probed[3] &&
        hashes[at + 4] === probed[4] &&
        this.#names.equals(this.#nameIds[found - 1] ?? 0, path, from, to)
      ) {
        return slot;
      }
    }
  }

  #append(nameId: number): NodeId {
    const id = this.#freeIds.pop() ?? this.#bound++;
    this.#hashes = growUint32(this.#hashes, this.#bound * HASH_WORDS);
    this.#nameIds = growUint32(this.#nameIds, this.#bound);
    this.#nameIds[id] = nameId;
    return id;
  }

  #internWhole(path: DrvPath): NodeId {
    const known = this.#wholeIds.get(path);
    if (known !== undefined) return known;
    const id = this.#append(KEPT_WHOLE);
    this.#wholeIds.set(path, id);
    this.#wholePaths.set(id, path);
    return id;
  }

  #rehash(size: number): void {
    const mask = size - 1;
    const slots = new Uint32Array(size);
    for (let id = 0; id < this.#bound; id++) {
      if (this.#nameIds[id] === KEPT_WHOLE) continue;
      let slot = mixHash(this.#hashes, id * HASH_WORDS) & mask;
      while (slots[slot] !== EMPTY_SLOT) slot = (slot + 1) & mask;
      slots[slot] = id + 1;
    }
    this.#slots = slots;
  }
}

/** Null where the path does not look like one in a store. */
function storePrefixOf(path: string): string | null {
  const prefix = path.slice(0, path.lastIndexOf('/') + 1);
  const isHashed = packHash(path, prefix.length, new Uint32Array(HASH_WORDS), 0);
  return prefix !== '' && isHashed && path.charAt(prefix.length + HASH_LENGTH) === '-' ? prefix : null;
}
