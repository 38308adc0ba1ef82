// Text from outside as cells of a terminal: harmless, of a known width, cut and filled up to fit.
import { printable } from './progress/progress-view.ts';

/** What the terminal can show. */
export interface Charset {
  readonly unicode: boolean;
}

/** By the locale, as every program tells it. */
export const charsetOf = (env: NodeJS.ProcessEnv): Charset => {
  const locale = [env['LC_ALL'], env['LC_CTYPE'], env['LANG']].find((one) => one !== undefined && one !== '');
  return { unicode: /utf-?8/i.test(locale ?? '') };
};

/** More is shown of nothing: a name may have megabytes. In UTF-16 units. */
const longest = 2000;

/** Terminals do not agree on how wide these are: parts of characters that stand alone, flags, what nobody assigned. */
const doubtful = /[\p{Co}\p{Cn}\u{1f1e6}-\u{1f1ff}\u1160-\u11ff\u3164\uffa0\ud7b0-\ud7ff]/gu;
/** They only choose how the character before them looks. */
const selectors = /[\ufe00-\ufe0f]|[\u{e0100}-\u{e01ef}]|\p{Emoji_Modifier}/gu;
const marks = /[\p{Mn}\p{Me}]/gu;
const manyMarks = /([\p{Mn}\p{Me}]{2})[\p{Mn}\p{Me}]+/gu;
const otherSpaces = /\p{Zs}/gu;
const ascii = /^[ -~]*$/;
const notAscii = /[^ -~]/gu;

/** Nothing that a terminal acts on, and no character whose width is in doubt. Idempotent. */
export const screenText = (text: string, { unicode }: Charset): string => {
  const safe = printable(text.length > longest ? text.slice(0, longest) : text);
  if (ascii.test(safe)) return safe;
  const known = safe
    .normalize('NFC')
    .replace(selectors, '')
    .replace(doubtful, '?')
    .replace(otherSpaces, ' ')
    .replace(manyMarks, '$1');
  return unicode ? known : known.replace(marks, '').replace(notAscii, '?');
};

const zeroWidth = /^[\p{Mn}\p{Me}]$/u;
/** UAX 11: characters of East Asian scripts and pictures take two cells; the narrow forms of some take one. */
const twoCells =
  /^(?![\uff61-\uffdc\uffe8-\uffee\u303f])[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Bopomofo}\p{Script=Yi}\p{Script=Tangut}\p{Script=Nushu}\p{Script=Khitan_Small_Script}\p{Emoji_Presentation}\u3001-\u303e\u3099-\u309c\u30fb\u30fc\u3190-\u33ff\u4dc0-\u4dff\ufe10-\ufe19\ufe30-\ufe6b\uff01-\uff60\uffe0-\uffe6]$/u;

const widthOf = (char: string): number => {
  if (char <= '~') return 1;
  if (zeroWidth.test(char)) return 0;
  return twoCells.test(char) ? 2 : 1;
};

/** Of a `screenText`. */
export const cellsOf = (text: string): number => {
  if (ascii.test(text)) return text.length;
  let cells = 0;
  for (const char of text) cells += widthOf(char);
  return cells;
};

/** As much of a `screenText` as fits. */
export const clip = (text: string, cells: number): string => {
  if (ascii.test(text)) return text.slice(0, Math.max(0, cells));
  let taken = 0;
  let end = 0;
  for (const char of text) {
    const width = widthOf(char);
    if (taken + width > cells) break;
    taken += width;
    end += char.length;
  }
  return text.slice(0, end);
};

const ellipsisOf = ({ unicode }: Charset): string => (unicode ? '…' : '~');

/** Made safe, and no wider than that; an ellipsis stands for what is left out. */
export const shorten = (text: string, cells: number, charset: Charset): string => {
  const safe = screenText(text, charset);
  if (cellsOf(safe) <= cells) return safe;
  return cells < 1 ? '' : `${clip(safe, cells - 1)}${ellipsisOf(charset)}`;
};

/** The same, filled up with spaces to just that width. */
export const fit = (text: string, cells: number, charset: Charset): string => {
  const short = shorten(text, cells, charset);
  return short + ' '.repeat(Math.max(0, cells - cellsOf(short)));
};
