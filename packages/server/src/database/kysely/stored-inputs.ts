// How a derivation's inputs lie in one column: numbers of seven bits a byte, lowest first.
// An input is `id * 2` when only its output `out` is used, else `id * 2 + 1`, then the length in bytes and the
// UTF-8 text of the names joined by NUL. A list of dependents is plain ids.

export interface InputId {
  readonly id: number;
  /** Names of outputs joined by NUL. */
  readonly outputs: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Appends to a buffer that grows; `take` gives what was appended since the last one. */
export class NumberWriter {
  #bytes = new Uint8Array(1024);
  #length = 0;

  number(value: number): void {
    if (this.#length + 8 > this.#bytes.length) this.#grow(8);
    let rest = value;
    // Not with shifts: ids times two leave 32 bits before they leave a double.
    while (rest >= 128) {
      this.#bytes[this.#length++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#length++] = rest;
  }

  text(value: string): void {
    const bytes = encoder.encode(value);
    this.number(bytes.length);
    if (this.#length + bytes.length > this.#bytes.length) this.#grow(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  input({ id, outputs }: InputId): void {
    this.number(outputs === 'out' ? id * 2 : id * 2 + 1);
    if (outputs !== 'out') this.text(outputs);
  }

  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return taken;
  }

  #grow(by: number): void {
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + by));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

const readNumber = (bytes: Uint8Array, cursor: { at: number }): number => {
  let value = 0;
  let scale = 1;
  for (;;) {
    const byte = bytes[cursor.at++] ?? 0;
    if (byte < 128) return value + byte * scale;
    value += (byte - 128) * scale;
    scale *= 128;
  }
};

/** Calls `visit` for each input. */
export const forEachInput = (bytes: Uint8Array, visit: (id: number, outputs: string) => void): void => {
  const cursor = { at: 0 };
  while (cursor.at < bytes.length) {
    const head = readNumber(bytes, cursor);
    if (head % 2 === 0) {
      visit(head / 2, 'out');
      continue;
    }
    const length = readNumber(bytes, cursor);
    const outputs = decoder.decode(bytes.subarray(cursor.at, cursor.at + length));
    cursor.at += length;
    visit((head - 1) / 2, outputs);
  }
};

/** The plain ids of a list of dependents. */
export const readIds = (bytes: Uint8Array): number[] => {
  const ids: number[] = [];
  const cursor = { at: 0 };
  while (cursor.at < bytes.length) ids.push(readNumber(bytes, cursor));
  return ids;
};
