// Reads and writes the tokens of a `.drv` file: strings, lists and tuples in ATerm text. Every character stands
// for one byte (`latin1`), so that any file comes out as it went in; `textOf` gives what the bytes mean.
import type { DrvPath } from '@eka-ci/core/ids';
import { hasDrvPathForm } from './store-path.ts';

export type DerivationFault =
  /** The file ends before the derivation does. */
  | 'DRV_CUT_SHORT'
  /** Something else stands where the grammar wants `expected`. */
  | 'DRV_MALFORMED'
  /** The derivation is followed by more text. */
  | 'DRV_TRAILING_TEXT'
  /** `DrvWithVersion(…)`: written by an experimental feature of newer Nix. */
  | 'DRV_DYNAMIC'
  /** A character above U+00FF: the file was decoded as text, not as bytes. */
  | 'DRV_NOT_BYTES'
  /** The structured attributes (`__json`) are not a JSON object. */
  | 'DRV_STRUCTURED_ATTRS';

/** Thrown for a text that is not the whole of one derivation. */
export class DerivationError extends Error {
  readonly code: DerivationFault;
  /** Of the file, where known. */
  readonly path: string | null;
  /** In bytes from the beginning. */
  readonly offset: number;
  readonly expected: string;
  constructor(
    code: DerivationFault,
    fault: { path: string | null; offset: number; expected: string; found: string },
  ) {
    super(
      `${fault.path ?? 'a derivation'} cannot be read: expected ${fault.expected} at byte ${fault.offset}, found ${fault.found}`,
    );
    this.name = 'DerivationError';
    this.code = code;
    this.path = fault.path;
    this.offset = fault.offset;
    this.expected = fault.expected;
  }
}

const quote = 34;
export const openParenthesis = 40;
export const closeParenthesis = 41;
export const comma = 44;
const openBracket = 91;
const backslash = 92;
const closeBracket = 93;

const meaningOfEscape = (escape: string): string => {
  const letter = escape.charAt(1);
  if (letter === 'n') return '\n';
  if (letter === 'r') return '\r';
  // As Nix does: any other character stands for itself.
  return letter === 't' ? '\t' : letter;
};

/**
 * The meaning of a string with escapes, `quoted` with its quotes. Where JSON reads its escapes as Nix does, JSON
 * does the work: it is several times faster than replacing.
 */
const unescape = (quoted: string): string => {
  if (!/\\[bfu/]/.test(quoted)) {
    try {
      return JSON.parse(quoted) as string;
    } catch {
      // A raw control character or an escape that JSON does not know; Nix takes both.
    }
  }
  return quoted.slice(1, -1).replace(/\\./gs, meaningOfEscape);
};

/**
 * A place in one file. A plain object and functions, not a class: when no instance of a class with fields happens to
 * live, a garbage collection takes the class's hidden shape with it, and the reading code is slow again after each.
 */
export interface Cursor {
  readonly text: string;
  /** Of the file, for errors. */
  readonly path: string | null;
  position: number;
  /** Of the first backslash after the last string's beginning: most strings need no second look. */
  nextBackslash: number;
}

export const openText = (text: string, path: string | null): Cursor => ({
  text,
  path,
  position: 0,
  nextBackslash: -1,
});

export const fail = (at: Cursor, code: DerivationFault, expected: string): never => {
  const rest = at.text.slice(at.position, at.position + 20);
  throw new DerivationError(code === 'DRV_MALFORMED' && rest === '' ? 'DRV_CUT_SHORT' : code, {
    path: at.path,
    offset: at.position,
    expected,
    found: rest === '' ? 'the end of the file' : JSON.stringify(rest),
  });
};

/** Passes over one character, which has to come next. By its code: this is the innermost of all loops. */
export const skip = (at: Cursor, code: number): void => {
  if (at.text.charCodeAt(at.position) !== code) {
    fail(at, 'DRV_MALFORMED', JSON.stringify(String.fromCharCode(code)));
  }
  at.position++;
};

/** Passes over `literal`, which has to come next. */
export const skipText = (at: Cursor, literal: string): void => {
  for (let i = 0; i < literal.length; i++) skip(at, literal.charCodeAt(i));
};

const findBackslash = (at: Cursor, start: number): void => {
  const found = at.text.indexOf('\\', start);
  at.nextBackslash = found === -1 ? at.text.length : found;
};

/** True when an odd number of backslashes stands before `index`. */
const isEscaped = (text: string, index: number, start: number): boolean => {
  let first = index;
  while (first > start && text.charCodeAt(first - 1) === backslash) first--;
  return (index - first) % 2 === 1;
};

const readEscapedString = (at: Cursor, start: number, firstQuote: number): string => {
  let end = firstQuote;
  while (end !== -1 && isEscaped(at.text, end, start)) end = at.text.indexOf('"', end + 1);
  if (end === -1) {
    at.position = at.text.length;
    fail(at, 'DRV_CUT_SHORT', 'the closing quote of a string');
  }
  at.position = end + 1;
  return unescape(at.text.slice(start - 1, end + 1));
};

export const readString = (at: Cursor): string => {
  skip(at, quote);
  const start = at.position;
  const end = at.text.indexOf('"', start);
  if (at.nextBackslash < start) findBackslash(at, start);
  if (at.nextBackslash < end || end === -1) return readEscapedString(at, start, end);
  at.position = end + 1;
  return at.text.slice(start, end);
};

/** A string that has the form of a derivation file's path. */
export const readDrvPath = (at: Cursor): DrvPath => {
  const start = at.position + 1;
  const path = readString(at);
  if (!hasDrvPathForm(at.text, { start, end: at.position - 1 })) {
    at.position = start;
    fail(at, 'DRV_MALFORMED', 'the path of a derivation file');
  }
  return path as DrvPath;
};

/** Opens a list: true when it has a first item. */
export const openList = (at: Cursor): boolean => {
  skip(at, openBracket);
  if (at.text.charCodeAt(at.position) !== closeBracket) return true;
  at.position++;
  return false;
};

/** After an item: true when another follows. */
export const nextItem = (at: Cursor): boolean => {
  const next = at.text.charCodeAt(at.position);
  if (next !== comma && next !== closeBracket) fail(at, 'DRV_MALFORMED', '"," or "]"');
  at.position++;
  return next === comma;
};

export const readStrings = (at: Cursor): string[] => {
  const items: string[] = [];
  for (let more = openList(at); more; more = nextItem(at)) items.push(readString(at));
  return items;
};

const escapeOf: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

export const printString = (value: string): string =>
  `"${/["\\\n\r\t]/.test(value) ? value.replace(/["\\\n\r\t]/g, (found) => escapeOf[found] ?? found) : value}"`;

export const printList = <T>(items: readonly T[], print: (item: T) => string): string =>
  `[${items.map(print).join(',')}]`;

/** The text that a string of bytes means as UTF-8; bytes that are none become U+FFFD. */
export const textOf = (bytes: string): string =>
  /[\x80-\xff]/.test(bytes) ? Buffer.from(bytes, 'latin1').toString('utf8') : bytes;
