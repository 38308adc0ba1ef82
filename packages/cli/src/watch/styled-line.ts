// One line of the screen: pieces of text, each in a tone. What it is painted with is for the terminal to say.
import { type Charset, cellsOf, clip, screenText } from '../screen-text.ts';

export type Tone = 'plain' | 'strong' | 'faint' | 'good' | 'bad' | 'warn' | 'chosen';

export interface Piece {
  readonly text: string;
  readonly tone?: Tone;
}

export type Line = readonly Piece[];

export const say = (text: string, tone: Tone = 'plain'): Line => [{ text, tone }];

/** Made safe and cut to the width. */
export const clipLine = (line: Line, cells: number, charset: Charset): Line => {
  let left = cells;
  const pieces: Piece[] = [];
  for (const { text, tone = 'plain' } of line) {
    if (left <= 0) break;
    const clipped = clip(screenText(text, charset), left);
    left -= cellsOf(clipped);
    if (clipped !== '') pieces.push({ text: clipped, tone });
  }
  return pieces;
};

/** Of a clipped one. */
export const lineCells = (line: Line): number => line.reduce((sum, { text }) => sum + cellsOf(text), 0);

/** Cut and filled up to just that width. */
export const fitLine = (line: Line, cells: number, charset: Charset): Line => {
  const clipped = clipLine(line, cells, charset);
  const missing = cells - lineCells(clipped);
  return missing > 0 ? [...clipped, { text: ' '.repeat(missing), tone: 'plain' }] : clipped;
};

/** Select Graphic Rendition parameters (ECMA-48, 8.3.117). Those that are no colours are kept without colours. */
const coloured: Readonly<Record<Tone, string>> = {
  plain: '',
  strong: '1',
  faint: '2',
  good: '32',
  bad: '31',
  warn: '33',
  chosen: '7',
};
const uncoloured: Readonly<Record<Tone, string>> = { ...coloured, good: '', bad: '1', warn: '1' };

/** A clipped line as it is written to a terminal; ends in the plain tone. */
export const paintLine = (line: Line, colours: boolean): string =>
  line
    .map(({ text, tone = 'plain' }) => {
      const code = (colours ? coloured : uncoloured)[tone];
      return code === '' ? text : `\u001b[${code}m${text}\u001b[0m`;
    })
    .join('');
