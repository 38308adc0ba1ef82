// Markdown within what GitHub takes: whole lines, nothing left open, and no character cut in two.
import { cutToBytes, utf8Length } from '@eka-ci/core/change-summary/byte-budget';

/** A line of this many bytes is none that we wrote: it is cut itself, so that what follows it has room. */
const longestLineBytes = 8000;

const cutLine = (line: string): string => {
  if (line.length * 3 <= longestLineBytes || utf8Length(line) <= longestLineBytes) return line;
  let bytes = 0;
  let end = 0;
  for (const character of line) {
    bytes += utf8Length(character);
    if (bytes > longestLineBytes - 4) break;
    end += character.length;
  }
  return `${line.slice(0, end)}…`;
};

/** At most `maxBytes` of UTF-8; where anything is left out it ends with `ending`. */
export const cutMarkdown = (markdown: string, maxBytes: number, ending: string): string => {
  // A character has at least one byte: nothing behind these can be left, however much there is.
  const text = markdown.slice(0, maxBytes + 1).toWellFormed();
  if (utf8Length(text) <= maxBytes) return text;
  const lines = text.split('\n').map(cutLine);
  // A last line that never fits: also where short lines are all that is left, what is open is closed.
  return cutToBytes([...lines, ' '.repeat(maxBytes)].join('\n'), maxBytes, ending);
};
