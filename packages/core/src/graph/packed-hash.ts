// The hash part of a store path, 32 characters of Nix's base 32, packed into five 32-bit words (20 bytes).

/** Nix's alphabet: no e, o, t, u. */
const ALPHABET = '0123456789abcdfghijklmnpqrsvwxyz';
const NOT_A_DIGIT = 0xff;
const DIGIT = new Uint8Array(128).fill(NOT_A_DIGIT);
for (let digit = 0; digit < 32; digit++) DIGIT[ALPHABET.charCodeAt(digit)] = digit;

/** Characters in the hash part. */
export const HASH_LENGTH = 32;
export const HASH_WORDS = 5;

const digitAt = (text: string, at: number): number => {
  const code = text.charCodeAt(at);
  return code < 128 ? (DIGIT[code] ?? NOT_A_DIGIT) : NOT_A_DIGIT;
};

/**
 * Packs the 32 characters of `text` from `at` into `words` from `index`; false where they are not base 32.
 * A word holds six digits (30 bits); the last two digits (10 bits) are spread over the words' two upper bits.
 */
// oxlint-disable-next-line max-params -- asked once an edge: an object for two positions would cost more than the packing
export function packHash(text: string, at: number, words: Uint32Array, index: number): boolean {
  const last = digitAt(text, at + 30);
  const veryLast = digitAt(text, at + 31);
  if ((last | veryLast) > 31) return false;
  let tail = (last << 5) | veryLast;
  for (let word = 0, from = at; word < HASH_WORDS; word++, from += 6) {
    let bits = 0;
    let bad = 0;
    for (let i = 0; i < 6; i++) {
      const digit = digitAt(text, from + i);
      bad |= digit;
      bits = (bits << 5) | digit;
    }
    if (bad > 31) return false;
    words[index + word] = bits | ((tail & 3) << 30);
    tail >>>= 2;
  }
  return true;
}

const codes: number[] = new Array<number>(HASH_LENGTH).fill(0);

/** The inverse of packHash. */
export function unpackHash(words: Uint32Array, index: number): string {
  let tail = 0;
  for (let word = HASH_WORDS - 1; word >= 0; word--) {
    let bits = words[index + word] ?? 0;
    tail = (tail << 2) | (bits >>> 30);
    for (let i = 5; i >= 0; i--) {
      codes[word * 6 + i] = ALPHABET.charCodeAt(bits & 31);
      bits >>>= 5;
    }
  }
  codes[30] = ALPHABET.charCodeAt(tail >>> 5);
  codes[31] = ALPHABET.charCodeAt(tail & 31);
  return String.fromCharCode(...codes);
}

/** Mixes packed words into a table position; hashes made by hand (in tests) must spread too. */
export function mixHash(words: Uint32Array, index: number): number {
  let mixed = 0;
  for (let word = 0; word < HASH_WORDS; word++) {
    mixed = Math.imul(mixed ^ (words[index + word] ?? 0), 0x9e3779b1);
    mixed ^= mixed >>> 15;
  }
  return mixed >>> 0;
}
