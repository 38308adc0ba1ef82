// Typed arrays that grow: what a graph of millions of nodes is kept in.

/** Room for `needed` elements, an eighth more than `current` at least: little is unused, and all copying stays linear. */
const grownCapacity = (current: number, needed: number): number =>
  Math.max(needed, 64, Math.ceil(current * 1.125));

export function growUint8(array: Uint8Array<ArrayBuffer>, needed: number): Uint8Array<ArrayBuffer> {
  if (array.length >= needed) return array;
  const grown = new Uint8Array(grownCapacity(array.length, needed));
  grown.set(array);
  return grown;
}

export function growUint32(array: Uint32Array<ArrayBuffer>, needed: number): Uint32Array<ArrayBuffer> {
  if (array.length >= needed) return array;
  const grown = new Uint32Array(grownCapacity(array.length, needed));
  grown.set(array);
  return grown;
}

export function growFloat64(array: Float64Array<ArrayBuffer>, needed: number): Float64Array<ArrayBuffer> {
  if (array.length >= needed) return array;
  const grown = new Float64Array(grownCapacity(array.length, needed));
  grown.set(array);
  return grown;
}

/** A list of small numbers (ids of interned strings, counts): one byte each until a larger one comes, then two, then four. */
export class CompactUints {
  #values: Uint8Array | Uint16Array | Uint32Array = new Uint8Array(0);

  get sizeBytes(): number {
    return this.#values.byteLength;
  }

  /** Makes room for indices below `length`; new elements are 0. */
  reserve(length: number): void {
    if (this.#values.length >= length) return;
    const capacity = grownCapacity(this.#values.length, length);
    const grown =
      this.#values instanceof Uint8Array
        ? new Uint8Array(capacity)
        : this.#values instanceof Uint16Array
          ? new Uint16Array(capacity)
          : new Uint32Array(capacity);
    grown.set(this.#values);
    this.#values = grown;
  }

  /** `index` has been reserved before. */
  set(index: number, value: number): void {
    if (value > 0xff && this.#values instanceof Uint8Array) this.#values = Uint16Array.from(this.#values);
    if (value > 0xffff && this.#values instanceof Uint16Array) this.#values = Uint32Array.from(this.#values);
    this.#values[index] = value;
  }

  get(index: number): number {
    return this.#values[index] ?? 0;
  }
}
