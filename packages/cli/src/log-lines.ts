// The log of a build, line by line, whatever its length.

/** A longer line is broken: a log without line feeds must not fill the memory. */
const maxLineLength = 1024 * 1024;

/** Without line feeds; a last line that is not ended counts as one. */
export async function* logLines(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of pieces) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
    if (rest.length > maxLineLength) {
      yield rest;
      rest = '';
    }
  }
  if (rest !== '') yield rest;
}

/** Without colours and the carriage return of a terminal's line end: they are not worth showing. */
export const withoutColours = (line: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is looked for
  line.replace(/\u001b\[[0-9;:]*m/g, '').replace(/\r$/, '');
