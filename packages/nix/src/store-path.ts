// The names of things in a Nix store: `<store directory>/<32 characters of hash>-<name>`.
import type { DrvPath, StorePath } from '@eka-ci/core/ids';

/** Nix's own base 32: no e, o, t, u. */
const hashAlphabet = '0123456789abcdfghijklmnpqrsvwxyz';
const hashLength = 32;
/** Of the part after the hash's dash, `.drv` included (Nix: `StorePath::MaxPathLen`). */
const maxNameLength = 211;
const drvSuffix = '.drv';

const flags = (characters: string): Uint8Array => {
  const table = new Uint8Array(128);
  for (const character of characters) table[character.charCodeAt(0)] = 1;
  return table;
};
const inHash = flags(hashAlphabet);
const inName = flags('0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-._?=');

export class StorePathError extends Error {
  readonly code = 'STORE_PATH_INVALID';
  /** What was offered as a store path. */
  readonly text: string;
  constructor(text: string, fault: string) {
    super(`not a store path: ${JSON.stringify(text.slice(0, 300))} ${fault}`);
    this.name = 'StorePathError';
    this.text = text;
  }
}

/** True when all characters of `text` from `start` to before `end` are in the table. */
const isMadeOf = (table: Uint8Array, text: string, { start, end }: TextRange): boolean => {
  for (let i = start; i < end; i++) {
    if (table[text.charCodeAt(i)] !== 1) return false;
  }
  return true;
};

/** A part of a longer text: `end` is the index after its last character. */
export interface TextRange {
  readonly start: number;
  readonly end: number;
}

/** What is wrong with a path's last component, or null. */
const baseNameFault = (text: string, { start, end }: TextRange): string | null => {
  const dash = start + hashLength;
  if (dash >= end || text.charCodeAt(dash) !== 45 || !isMadeOf(inHash, text, { start, end: dash })) {
    return `does not begin with ${hashLength} characters of ${hashAlphabet} and a dash`;
  }
  const name = { start: dash + 1, end };
  if (name.start === end) return 'has an empty name';
  if (end - name.start > maxNameLength) return `has a name of more than ${maxNameLength} characters`;
  if (!isMadeOf(inName, text, name)) {
    return 'has a character in its name that is none of 0-9 a-z A-Z + - . _ ? =';
  }
  // Nix refuses these names, since they would read as directory entries.
  if (text.charCodeAt(name.start) === 46 && /^\.{1,2}(?:$|-)/.test(text.slice(name.start, end))) {
    return 'has a name that begins as . or ..';
  }
  return null;
};

/**
 * Why `text` is not the path of a store object directly in `storeDir`, or null when it is one.
 * @param storeDir without a slash at its end, for example `/nix/store`
 */
export const storePathFault = (text: string, storeDir: string): string | null => {
  if (!text.startsWith(storeDir) || text.charCodeAt(storeDir.length) !== 47) return `is not in ${storeDir}`;
  return baseNameFault(text, { start: storeDir.length + 1, end: text.length });
};

/** Why `text` is not the path of a derivation file in `storeDir`, or null when it is one. */
export const drvPathFault = (text: string, storeDir: string): string | null => {
  const fault = storePathFault(text, storeDir);
  if (fault !== null) return fault;
  return text.endsWith(drvSuffix) && text.length > storeDir.length + hashLength + 2 + drvSuffix.length
    ? null
    : 'is not a derivation: it does not end with a name and .drv';
};

/**
 * True when a part of `text` could be the path of a derivation file in some store. For texts of which the store is
 * not known: before such a path is opened, `drvPathFault` has to see it. It takes a part of a text since the
 * characters of a slice are several times slower to read than those of the text that it was cut from.
 */
export const hasDrvPathForm = (text: string, { start, end }: TextRange): boolean =>
  text.charCodeAt(start) === 47 &&
  text.endsWith(drvSuffix, end) &&
  baseNameFault(text, { start: Math.max(start, text.lastIndexOf('/', end - 1)) + 1, end }) === null;

/** @throws StorePathError */
export const parseStorePath = (text: string, storeDir: string): StorePath => {
  const fault = storePathFault(text, storeDir);
  if (fault !== null) throw new StorePathError(text, fault);
  return text as StorePath;
};

/** @throws StorePathError */
export const parseDrvPath = (text: string, storeDir: string): DrvPath => {
  const fault = drvPathFault(text, storeDir);
  if (fault !== null) throw new StorePathError(text, fault);
  return text as DrvPath;
};

/** `hello-1.0.drv` with its hash: the last component of the path. */
export const baseNameOf = (path: DrvPath | StorePath): string => path.slice(path.lastIndexOf('/') + 1);

/** The 32 characters that stand before the name. */
export const hashPartOf = (path: DrvPath | StorePath): string => baseNameOf(path).slice(0, hashLength);

/** What stands after the hash: `hello-1.0`, and `hello-1.0.drv` for a derivation file. */
export const nameOf = (path: DrvPath | StorePath): string => baseNameOf(path).slice(hashLength + 1);

/** The derivation's own name, `.drv` taken off: `hello-1.0`. */
export const derivationNameOf = (path: DrvPath): string => nameOf(path).slice(0, -drvSuffix.length);
