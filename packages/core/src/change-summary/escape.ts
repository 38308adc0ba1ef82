// Text from outside, made safe for Markdown: on every forge it is shown as code, and never read as anything else.
//
// Code is the one form in which GitHub, GitLab and Gitea all leave mentions, issue references, HTML, links and quick
// actions alone. Entities would not do: forges look for mentions after they are decoded.

const escapeSequence = /\u001B(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001B]*(?:\u0007|\u001B\\)?|[@-Z\\-_])/g;
/** Controls, direction marks and other invisible characters, line separators: all but what fonts draw. */
const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}]/gu;

const spellOut = (character: string): string => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;

/** Every character stands for itself on one line: invisible ones are spelt `\u{202e}`; colour codes go. */
const showInvisible = (text: string): string =>
  text
    .toWellFormed()
    .replace(escapeSequence, '')
    .replace(/\r?\n|\t/g, ' ')
    .replace(invisible, spellOut);

/** By code points, with an ellipsis in place of what was cut. */
const shorten = (text: string, maxCharacters: number): string => {
  if (text.length <= maxCharacters) return text;
  const characters = [...text.slice(0, maxCharacters * 2 + 2)];
  return characters.length <= maxCharacters ? text : `${characters.slice(0, maxCharacters - 1).join('')}…`;
};

const longestRun = (text: string): number =>
  (text.match(/`+/g) ?? []).reduce((longest, run) => Math.max(longest, run.length), 0);

/** A code span, also inside a table; empty text gives a dash. */
export const toCode = (text: string, maxCharacters = 120): string => {
  // A table is cut into cells before its code is looked at, and forges differ in how an escaped bar is read.
  const shown = shorten(showInvisible(shorten(text, maxCharacters * 2)), maxCharacters).replaceAll('|', '¦');
  if (shown.trim() === '') return '—';
  const fence = '`'.repeat(longestRun(shown) + 1);
  const pad = shown.startsWith('`') || shown.endsWith('`') ? ' ' : '';
  return `${fence}${pad}${shown}${pad}${fence}`;
};

/** `a`, `b`, `c` and 12 more */
export const toCodeList = (texts: readonly string[], max: number): string => {
  const shown = texts.slice(0, max).map((text) => toCode(text));
  const rest = texts.length - shown.length;
  return rest > 0 ? `${shown.join(', ')} and ${rest} more` : shown.join(', ');
};

const showLine = (line: string, maxCharacters: number): string => {
  const shown = shorten(showInvisible(shorten(line, maxCharacters * 4)), maxCharacters);
  // GitLab looks for quick actions at the start of lines, and has done so inside of code as well.
  return shown.startsWith('/') ? ` ${shown}` : shown;
};

/** A fenced block; `language` is ours. */
export const toCodeBlock = (lines: readonly string[], language = '', maxCharacters = 200): string => {
  const shown = lines.map((line) => showLine(line, maxCharacters)).join('\n');
  const fence = '`'.repeat(Math.max(3, longestRun(shown) + 1));
  return `${fence}${language}\n${shown}\n${fence}`;
};

/** @param label ours; the label alone where the address is not one of the web */
export const toLink = (label: string, url: string | null): string => {
  if (url === null || !/^https?:\/\/[^/]/.test(url)) return label;
  const safe = url
    .toWellFormed()
    .replace(/[^\w\-.~:/?#@!$&+,;=%]/gu, (character) => encodeURIComponent(character));
  // encodeURIComponent leaves these four, two of which end a link.
  const address = safe.replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `[${label}](${address})`;
};
