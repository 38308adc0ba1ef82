// Hashes in the spellings of Nix, and the store paths that follow from them alone.
import { createHash } from 'node:crypto';
import type { StorePath } from '@eka-ci/core/ids';
import { parseStorePath } from './store-path.ts';

const alphabet = '0123456789abcdfghijklmnpqrsvwxyz';

/** Nix prints a hash's bits in fives, from the last byte to the first. */
const decodeBase32 = (text: string): Buffer => {
  const bytes = Buffer.alloc(Math.floor((text.length * 5) / 8));
  for (let digit = 0; digit < text.length; digit++) {
    const value = alphabet.indexOf(text.charAt(text.length - 1 - digit));
    for (let bit = 0; bit < 5; bit++) {
      const at = digit * 5 + bit;
      const index = at >> 3;
      if (index < bytes.length) bytes[index] = (bytes[index] ?? 0) | (((value >> bit) & 1) << (at & 7));
    }
  }
  return bytes;
};

const encodeBase32 = (bytes: Uint8Array): string => {
  const digits = Math.ceil((bytes.length * 8) / 5);
  let text = '';
  for (let digit = digits - 1; digit >= 0; digit--) {
    const at = digit * 5;
    const [low = 0, high = 0] = [bytes[at >> 3], bytes[(at >> 3) + 1]];
    text += alphabet.charAt(((low | (high << 8)) >> (at & 7)) & 31);
  }
  return text;
};

/** A SHA-256 in base 16, Nix's base 32, or base 64, behind `sha256:` or `sha256-` or nothing; null for anything else. */
export const parseSha256 = (text: string): Buffer | null => {
  const digits = /^(?:sha256[:-])?(?<digits>.*)$/.exec(text)?.groups?.['digits'] ?? '';
  if (/^[0-9a-fA-F]{64}$/.test(digits)) return Buffer.from(digits, 'hex');
  if (/^[01][0-9abcdfghijklmnpqrsvwxyz]{51}$/.test(digits)) return decodeBase32(digits);
  const bytes = /^[0-9A-Za-z+/]{43}=$/.test(digits) ? Buffer.from(digits, 'base64') : null;
  return bytes?.length === 32 ? bytes : null;
};

/** As SRI writes it, and every Nix reads it: `sha256-…=`. */
export const formatSri = (sha256: Uint8Array): string => `sha256-${Buffer.from(sha256).toString('base64')}`;

const sha256Of = (text: string): Buffer => createHash('sha256').update(text).digest();

/** A path's hash is cut to 20 bytes by folding the rest over them. */
const compress = (hash: Uint8Array): Uint8Array => {
  const short = new Uint8Array(20);
  for (const [index, byte] of hash.entries()) short[index % 20] = (short[index % 20] ?? 0) ^ byte;
  return short;
};

export interface FixedOutput {
  readonly storeDir: string;
  readonly name: string;
  /** `tree`: of the archive (NAR) of a file or folder; `file`: of a file's bytes. */
  readonly of: 'tree' | 'file';
  readonly sha256: Uint8Array;
}

/** Where something of a known content lies in every store. @throws StorePathError for a name that none can have */
export const fixedOutputPath = ({ storeDir, name, of, sha256 }: FixedOutput): StorePath => {
  const hex = Buffer.from(sha256).toString('hex');
  const inner =
    of === 'tree'
      ? `source:sha256:${hex}`
      : `output:out:sha256:${sha256Of(`fixed:out:sha256:${hex}:`).toString('hex')}`;
  const digest = encodeBase32(compress(sha256Of(`${inner}:${storeDir}:${name}`)));
  return parseStorePath(`${storeDir}/${digest}-${name}`, storeDir);
};
