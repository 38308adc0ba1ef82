// Reads TOML, and remembers where each key and each entry of a list stands: the parser itself does not tell.
import { parse, TomlError } from 'smol-toml';

export type TomlPath = readonly (string | number)[];

export type TomlText =
  | {
      readonly kind: 'read';
      readonly table: Readonly<Record<string, unknown>>;
      /** The line, from 1, of a key or an entry; of what is not in the text, that of what should hold it. */
      lineOf(path: TomlPath): number;
      /** A number, date or boolean as it is written (`0o600`); null for every other value. */
      scalarOf(path: TomlPath): string | null;
    }
  /** `message` never quotes the text, for it may hold secrets. */
  | { readonly kind: 'invalid'; readonly line: number; readonly column: number; readonly message: string };

const nameOf = (path: TomlPath): string => JSON.stringify(path);

/** The parts of a dotted key. The parser decodes it, so that quotes and escapes are its business alone. */
const splitKey = (raw: string): string[] => {
  const parts: string[] = [];
  let inner: unknown = parse(`${raw} = 0`);
  while (typeof inner === 'object' && inner !== null) {
    const [entry] = Object.entries(inner);
    if (entry === undefined) break;
    parts.push(entry[0]);
    inner = entry[1];
  }
  return parts;
};

/** Walks a text that is known to be TOML: what cannot be in such a text is not looked for. */
class Scanner {
  readonly offsets = new Map<string, number>();
  readonly scalars = new Map<string, string>();
  readonly #lengths = new Map<string, number>();
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): void {
    let table: TomlPath = [];
    for (this.#skipBlank(); this.#at < this.#text.length; this.#skipBlank()) {
      if (this.#text[this.#at] === '[') table = this.#readHeader();
      else this.#readPair(table);
    }
  }

  #mark(path: TomlPath, offset: number): void {
    const name = nameOf(path);
    if (!this.offsets.has(name)) this.offsets.set(name, offset);
  }

  #skipBlank(): void {
    const blank = /(?:[\s,]+|#[^\n]*)*/y;
    blank.lastIndex = this.#at;
    this.#at += blank.exec(this.#text)?.[0].length ?? 0;
  }

  #readHeader(): TomlPath {
    const start = this.#at;
    const isList = this.#text.startsWith('[[', start);
    this.#at += isList ? 2 : 1;
    const parts = splitKey(this.#readRawKey(']'));
    this.#at += isList ? 2 : 1;
    let path: TomlPath = [];
    for (const [index, part] of parts.entries()) {
      path = [...path, part];
      this.#mark(path, start);
      const length = this.#lengths.get(nameOf(path)) ?? 0;
      if (isList && index === parts.length - 1) {
        this.#lengths.set(nameOf(path), length + 1);
        path = [...path, length];
        this.#mark(path, start);
      } else if (length > 0) {
        // Inside a list of tables a header means its newest entry.
        path = [...path, length - 1];
      }
    }
    return path;
  }

  /** Up to `end` outside quotes, which stays unread. */
  #readRawKey(end: '=' | ']'): string {
    const key = /(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^"'=\]])*/y;
    key.lastIndex = this.#at;
    const raw = key.exec(this.#text)?.[0] ?? '';
    this.#at += raw.length;
    if (this.#text[this.#at] !== end) throw new Error(`no "${end}" at offset ${this.#at}`);
    return raw;
  }

  #readPair(table: TomlPath): void {
    const start = this.#at;
    let path = table;
    const parts = splitKey(this.#readRawKey('='));
    for (const part of parts) {
      path = [...path, part];
      this.#mark(path, start);
    }
    this.#at++;
    this.#readValue(path);
  }

  #readValue(path: TomlPath): void {
    this.#skipBlank();
    const first = this.#text[this.#at];
    if (first === '[') return this.#readList(path);
    if (first === '{') return this.#readInlineTable(path);
    const string = /"""(?:[^\\]|\\[\s\S])*?"{3,5}|'''[\s\S]*?'{3,5}|"(?:[^"\\]|\\.)*"|'[^']*'/y;
    string.lastIndex = this.#at;
    const text = string.exec(this.#text)?.[0];
    if (text !== undefined) {
      this.#at += text.length;
      return;
    }
    const scalar = /[^,\]}#\n]*/y;
    scalar.lastIndex = this.#at;
    const raw = scalar.exec(this.#text)?.[0] ?? '';
    this.#at += raw.length;
    this.scalars.set(nameOf(path), raw.trim());
  }

  #readList(path: TomlPath): void {
    this.#at++;
    let index = 0;
    for (this.#skipBlank(); this.#text[this.#at] !== ']'; this.#skipBlank()) {
      if (this.#at >= this.#text.length) throw new Error('a list without an end');
      const entry = [...path, index++];
      this.#mark(entry, this.#at);
      this.#readValue(entry);
    }
    this.#at++;
  }

  #readInlineTable(path: TomlPath): void {
    this.#at++;
    for (this.#skipBlank(); this.#text[this.#at] !== '}'; this.#skipBlank()) this.#readPair(path);
    this.#at++;
  }
}

const countLines = (text: string, offset: number): number => text.slice(0, offset).split('\n').length;

/** Reads a whole TOML document. */
export const readToml = (text: string): TomlText => {
  let table: Readonly<Record<string, unknown>>;
  try {
    table = parse(text, { maxDepth: 32, unsafeKeyBehaviour: 'throw' });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The rest of its message shows the lines around the place.
    const [summary = ''] = error.message.split('\n');
    const message = `is not TOML: ${summary.replace('Invalid TOML document: ', '')}`;
    return { kind: 'invalid', line: error.line, column: error.column, message };
  }
  const scanner = new Scanner(text);
  scanner.scan();
  return {
    kind: 'read',
    table,
    lineOf(path) {
      for (let length = path.length; length > 0; length--) {
        const offset = scanner.offsets.get(nameOf(path.slice(0, length)));
        if (offset !== undefined) return countLines(text, offset);
      }
      return 1;
    },
    scalarOf: (path) => scanner.scalars.get(nameOf(path)) ?? null,
  };
};
