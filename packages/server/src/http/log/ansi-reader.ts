// Tells the text of a log from what was meant for a terminal (ECMA-48), piece by piece, in memory that does not grow.

/** What is met, in order. */
export interface AnsiSink {
  /** Holds no control characters but tabs. Consecutive pieces belong together. */
  text(piece: string): void;
  newline(): void;
  /** The parameters of one SGR sequence: colours and the like. Missing ones are 0. */
  style(parameters: readonly number[]): void;
}

export interface AnsiReader {
  /** Any piece of the log; a sequence may begin in one and end in another. */
  write(piece: string): void;
}

type State =
  | { readonly at: 'text' }
  | { readonly at: 'escape' }
  /** `ESC [`: parameters follow, then one final letter. */
  | { readonly at: 'control'; readonly parameters: string }
  /** `ESC ]` and its like: anything, up to BEL or `ESC \`. A link's address is such a one; its text is not. */
  | { readonly at: 'string'; readonly length: number };

const text: State = { at: 'text' };
const run = /[^\u0000-\u0008\u000a-\u001f\u007f-\u009f]+/y;

/** No program prints longer ones; whoever leaves one open does not hide the rest of the log by it. */
const maxParameters = 128;
const maxString = 4096;

const readParameters = (written: string): number[] | null => {
  // `:` separates parts of one colour (ITU T.416), as `;` does in practice.
  if (!/^[0-9;:]*$/.test(written)) return null;
  return written.split(/[;:]/).map(Number);
};

/** Where a carriage return that no line feed follows is to be seen, for what it would do on a terminal is not done. */
const carriageReturn = '\u240d';

class Reader implements AnsiReader {
  readonly #sink: AnsiSink;
  #state: State = text;
  /** A carriage return was last: at the end of a line it is nothing. */
  #returned = false;

  constructor(sink: AnsiSink) {
    this.#sink = sink;
  }

  write(piece: string): void {
    let at = 0;
    while (at < piece.length) at = this.#step(piece, at);
  }

  /** @returns where to go on */
  #step(piece: string, at: number): number {
    const character = piece[at] ?? '';
    // A line feed ends everything: what a line leaves open is not the next one's matter.
    if (character === '\n') {
      this.#returned = false;
      this.#state = text;
      this.#sink.newline();
      return at + 1;
    }
    switch (this.#state.at) {
      case 'text':
        return this.#readText(piece, at);
      case 'escape':
        this.#state = this.#afterEscape(character);
        return at + 1;
      case 'control':
        this.#state = this.#inControl(this.#state.parameters, character);
        return at + 1;
      case 'string':
        this.#state = this.#inString(this.#state.length, character);
        return at + 1;
    }
  }

  #readText(piece: string, at: number): number {
    if (this.#returned) {
      this.#returned = false;
      this.#sink.text(carriageReturn);
    }
    run.lastIndex = at;
    const found = run.exec(piece)?.[0];
    if (found !== undefined) {
      this.#sink.text(found);
      return at + found.length;
    }
    if (piece[at] === '\u001b') this.#state = { at: 'escape' };
    else if (piece[at] === '\r') this.#returned = true;
    return at + 1;
  }

  #afterEscape(character: string): State {
    switch (character) {
      case '[':
        return { at: 'control', parameters: '' };
      case ']':
      case 'P':
      case 'X':
      case '^':
      case '_':
        return { at: 'string', length: 0 };
      case '\u001b':
        return { at: 'escape' };
      default:
        // `ESC ( B` and its like: more may come before the letter that ends it.
        return character >= ' ' && character <= '/' ? { at: 'escape' } : text;
    }
  }

  #inControl(parameters: string, character: string): State {
    if (character === '\u001b') return { at: 'escape' };
    if (character >= ' ' && character <= '?' && parameters.length < maxParameters) {
      return { at: 'control', parameters: parameters + character };
    }
    const style = character === 'm' ? readParameters(parameters) : null;
    if (style !== null) this.#sink.style(style);
    return text;
  }

  #inString(length: number, character: string): State {
    if (character === '\u0007' || character === '\u009c' || length >= maxString) return text;
    // With a backslash it ends this one, with anything else it begins another: either way this one is over.
    if (character === '\u001b') return { at: 'escape' };
    return { at: 'string', length: length + 1 };
  }
}

export const createAnsiReader = (sink: AnsiSink): AnsiReader => new Reader(sink);

/** The text alone. */
export const withoutEscapes = (log: string): string => {
  let rest = '';
  const reader = createAnsiReader({
    text: (piece) => {
      rest += piece;
    },
    newline: () => {
      rest += '\n';
    },
    style: () => {},
  });
  reader.write(log);
  return rest;
};
