// Forges count bytes, not characters: measuring Markdown in UTF-8, and cutting it so that what is left is whole.

/** Of a string without lone surrogates; one of those counts 3, as the character that replaces it. */
export const utf8Length = (text: string): number => {
  let bytes = text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    // Either half of a pair gives two of the pair's four bytes.
    const isPair = unit >= 0xd800 && unit <= 0xdbff && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00;
    if (isPair) {
      bytes += 2;
      index++;
    } else bytes += unit < 0x800 ? 1 : 2;
  }
  return bytes;
};

/** What has to be written to close what `lines` leave open, innermost first. */
const closersOf = (lines: readonly string[]): string => {
  let fence: string | null = null;
  let details = 0;
  for (const line of lines) {
    if (fence !== null) {
      if (/^`+$/.test(line) && line.length >= fence.length) fence = null;
      continue;
    }
    // A line with more backticks begins with a code span (CommonMark 0.31, 4.5).
    fence = /^(`{3,})[^`]*$/.exec(line)?.[1] ?? null;
    details += (line.match(/<details(?: open)?>/g) ?? []).length - (line.match(/<\/details>/g) ?? []).length;
  }
  return `${fence === null ? '' : `\n${fence}`}${'\n\n</details>'.repeat(Math.max(0, details))}`;
};

/**
 * The lines of `markdown` that fit together with what closes them and `ending`: whole lines only, so that neither a
 * character nor a code span is cut in two.
 */
export const cutToBytes = (markdown: string, maxBytes: number, ending: string): string => {
  if (utf8Length(markdown) <= maxBytes) return markdown;
  const lines = markdown.split('\n');
  let bytes = lines.reduce((sum, line) => sum + utf8Length(line) + 1, 0);
  while (lines.length > 0) {
    bytes -= utf8Length(lines.pop() ?? '') + 1;
    if (bytes > maxBytes) continue;
    const tail = `${closersOf(lines)}\n\n${ending}`;
    if (bytes + utf8Length(tail) <= maxBytes) return `${lines.join('\n')}${tail}`;
  }
  return '';
};
