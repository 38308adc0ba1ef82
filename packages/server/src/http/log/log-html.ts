// A log as a page: its text, its colours as classes, an anchor for each line, and nothing else of it.
import { escapeHtml } from '../html-text.ts';
import { createAnsiReader } from './ansi-reader.ts';
import { applyStyle, classesOf, plain } from './ansi-style.ts';

export interface LogPage {
  readonly title: string;
  /** Where the same log is text. */
  readonly textPath: string;
  readonly stylePath: string;
}

const startOf = ({ title, textPath, stylePath }: LogPage): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<link rel="stylesheet" href="${escapeHtml(stylePath)}">
</head>
<body>
<header><h1>${escapeHtml(title)}</h1><p><a href="${escapeHtml(textPath)}">As text</a></p></header>
<main>
<pre>`;

const end = '</pre>\n</main>\n</body>\n</html>\n';

/** Writes pieces of a log as HTML, in the order in which they come; a piece may end in the middle of anything. */
export const createLogWriter = (): { write(piece: string): string; end(): string } => {
  let html = '';
  let line = 1;
  let atStart = true;
  let style = plain;
  /** The classes of the element that is open; '' where none is. */
  let open = '';
  const close = (): void => {
    if (open !== '') html += '</span>';
    open = '';
  };
  const begin = (): void => {
    if (atStart) html += `<a id="L${line}" href="#L${line}"></a>`;
    atStart = false;
  };
  const reader = createAnsiReader({
    text(piece) {
      begin();
      const classes = classesOf(style);
      if (classes !== open) {
        close();
        if (classes !== '') html += `<span class="${classes}">`;
        open = classes;
      }
      html += escapeHtml(piece);
    },
    newline() {
      begin();
      close();
      html += '\n';
      line += 1;
      atStart = true;
    },
    style(parameters) {
      style = applyStyle(style, parameters);
    },
  });
  const take = (): string => {
    const written = html;
    html = '';
    return written;
  };
  return {
    write(piece) {
      reader.write(piece);
      return take();
    },
    end() {
      close();
      return take();
    },
  };
};

/** @param bytes UTF-8; what is not is shown as replacement characters. Read to its end, or destroyed with the page */
export const renderLog = async function* (
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  page: LogPage,
): AsyncGenerator<string> {
  yield startOf(page);
  const decoder = new TextDecoder();
  const writer = createLogWriter();
  for await (const piece of bytes) {
    const html = writer.write(decoder.decode(piece, { stream: true }));
    if (html !== '') yield html;
  }
  yield writer.write(decoder.decode()) + writer.end() + end;
};
