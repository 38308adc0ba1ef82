// Reads JSON (RFC 8259) as people write it into files: every value keeps its place in the text, and what JSON.parse
// hides, a key that is given twice, is an error.

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

export interface TextPosition {
  /** Counted from 1. */
  readonly line: number;
  /** Counted from 1, in UTF-16 units as editors do. */
  readonly column: number;
}

/** Offsets of an object's keys or of an array's elements, by key or index. */
export type MemberOffsets = ReadonlyMap<string | number, number>;

export interface JsonText {
  readonly value: JsonValue;
  /** Where the members of an object or array of `value` begin; undefined for anything else. */
  membersOf(container: object): MemberOffsets | undefined;
  positionOf(offset: number): TextPosition;
}

/** Thrown when the text is not JSON, nests too deeply or gives a key twice. */
export class JsonTextError extends Error {
  readonly code = 'JSON_TEXT_INVALID';
  readonly position: TextPosition;
  constructor(message: string, position: TextPosition) {
    super(message);
    this.name = 'JsonTextError';
    this.position = position;
  }
}

interface Reader {
  readonly text: string;
  readonly maxDepth: number;
  readonly members: WeakMap<object, MemberOffsets>;
  at: number;
}

const positionIn = (text: string, offset: number): TextPosition => {
  let line = 1;
  let start = 0;
  for (let feed = text.indexOf('\n'); feed !== -1 && feed < offset; feed = text.indexOf('\n', feed + 1)) {
    line += 1;
    start = feed + 1;
  }
  return { line, column: offset - start + 1 };
};

const fail = (reader: Reader, message: string, offset = reader.at): never => {
  throw new JsonTextError(message, positionIn(reader.text, offset));
};

const found = (reader: Reader): string => {
  const code = reader.text.codePointAt(reader.at);
  return code === undefined ? 'the end of the file' : JSON.stringify(String.fromCodePoint(code));
};

const skipSpace = (reader: Reader): void => {
  const space = /[ \t\n\r]*/y;
  space.lastIndex = reader.at;
  space.test(reader.text);
  reader.at = space.lastIndex;
  if (reader.text[reader.at] === '/') fail(reader, 'JSON has no comments: remove this one');
};

const endOfString = (reader: Reader): number => {
  for (let at = reader.at + 1; at < reader.text.length; at++) {
    const char = reader.text[at] ?? '';
    if (char === '"') return at + 1;
    if (char === '\\') at += 1;
    else if (char < ' ') fail(reader, 'a string may not contain a line break or control character', at);
  }
  return fail(reader, 'this string has no closing quote');
};

const readString = (reader: Reader): string => {
  const end = endOfString(reader);
  try {
    const text: unknown = JSON.parse(reader.text.slice(reader.at, end));
    if (typeof text !== 'string') throw new TypeError('a quoted text is a string');
    reader.at = end;
    return text;
  } catch {
    return fail(reader, 'this string has an escape that JSON does not know (a backslash is written \\\\)');
  }
};

const readScalar = (reader: Reader): JsonValue => {
  const word = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.+-])|(?:true|false|null)(?!\w)/y;
  word.lastIndex = reader.at;
  const match = word.exec(reader.text)?.[0];
  if (match === undefined) return fail(reader, `expected a value, found ${found(reader)}`);
  reader.at += match.length;
  if (match === 'null') return null;
  return match === 'true' || match === 'false' ? match === 'true' : Number(match);
};

/** Reads members separated by commas up to `close`; the opening bracket is at the reader's place. */
const readMembers = (reader: Reader, close: ']' | '}', readMember: () => void): void => {
  reader.at += 1;
  skipSpace(reader);
  while (reader.text[reader.at] !== close) {
    readMember();
    skipSpace(reader);
    if (reader.text[reader.at] === close) break;
    if (reader.text[reader.at] !== ',') fail(reader, `expected "," or "${close}", found ${found(reader)}`);
    const comma = reader.at;
    reader.at += 1;
    skipSpace(reader);
    if (reader.text[reader.at] === close) fail(reader, `a comma before "${close}" is not JSON`, comma);
  }
  reader.at += 1;
};

const readArray = (reader: Reader, depth: number): JsonValue => {
  const items: JsonValue[] = [];
  const offsets = new Map<number, number>();
  readMembers(reader, ']', () => {
    offsets.set(items.length, reader.at);
    items.push(readValue(reader, depth + 1));
  });
  reader.members.set(items, offsets);
  return items;
};

const readKey = (reader: Reader, seen: ReadonlyMap<string, number>): string => {
  const offset = reader.at;
  if (reader.text[offset] !== '"') fail(reader, `expected a key in double quotes, found ${found(reader)}`);
  const key = readString(reader);
  const first = seen.get(key);
  if (first !== undefined) {
    const { line } = positionIn(reader.text, first);
    fail(reader, `the key ${JSON.stringify(key)} is given twice, first on line ${line}: keep one`, offset);
  }
  // Assigning it would set the object's prototype in place of a member.
  if (key === '__proto__') fail(reader, '"__proto__" cannot be a key: choose another name', offset);
  return key;
};

const readObject = (reader: Reader, depth: number): JsonValue => {
  const object: Record<string, JsonValue> = {};
  const offsets = new Map<string, number>();
  readMembers(reader, '}', () => {
    const offset = reader.at;
    const key = readKey(reader, offsets);
    offsets.set(key, offset);
    skipSpace(reader);
    if (reader.text[reader.at] !== ':') fail(reader, `expected ":" after the key, found ${found(reader)}`);
    reader.at += 1;
    skipSpace(reader);
    object[key] = readValue(reader, depth + 1);
  });
  reader.members.set(object, offsets);
  return object;
};

const readValue = (reader: Reader, depth: number): JsonValue => {
  const char = reader.text[reader.at];
  if ((char === '{' || char === '[') && depth > reader.maxDepth) {
    fail(reader, `nested deeper than ${reader.maxDepth} levels`);
  }
  if (char === '{') return readObject(reader, depth);
  if (char === '[') return readArray(reader, depth);
  return char === '"' ? readString(reader) : readScalar(reader);
};

/**
 * Accepts what JSON.parse accepts, save repeated keys, the key `__proto__` and nesting beyond `maxDepth`.
 * @throws JsonTextError
 */
export const readJsonText = (text: string, maxDepth: number): JsonText => {
  const reader: Reader = { text, maxDepth, members: new WeakMap(), at: 0 };
  skipSpace(reader);
  if (reader.at === text.length) fail(reader, 'the file is empty');
  const value = readValue(reader, 1);
  skipSpace(reader);
  if (reader.at < text.length) fail(reader, `expected the end of the file, found ${found(reader)}`);
  return {
    value,
    membersOf: (container) => reader.members.get(container),
    positionOf: (offset) => positionIn(text, offset),
  };
};
