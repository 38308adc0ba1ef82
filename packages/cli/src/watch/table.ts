// Rows in columns that fit a width: what is nice to have goes first, then wide columns shrink, then more is left out.
import { type Charset, cellsOf, fit, screenText, shorten } from '../screen-text.ts';
import type { Line, Piece, Tone } from './styled-line.ts';

export interface Column {
  /** In cells; it shrinks no further. */
  readonly least: number;
  /** In cells; it takes no more. */
  readonly most: number;
  /**
   * Of those that do not fit, the one with the highest rank is left out first; 0 never is. From 4 on: before any other
   * shrinks for it.
   */
  readonly rank: number;
}

export interface Cell {
  readonly text: string;
  readonly tone?: Tone;
}

const gap = 2;
const niceToHave = 4;

const totalOf = (widths: readonly number[]): number =>
  widths.reduce((sum, width) => sum + width, 0) + gap * Math.max(0, widths.length - 1);

interface Sized extends Column {
  readonly position: number;
  readonly width: number;
}

/** Takes cells from the widest column that can spare one. Null: none can. */
const shrink = (columns: readonly Sized[], excess: number): Sized[] | null => {
  const widths = columns.map(({ width }) => width);
  for (let left = excess; left > 0; left--) {
    let widest = -1;
    columns.forEach(({ least }, index) => {
      const width = widths[index] ?? 0;
      if (width > least && (widest < 0 || width > (widths[widest] ?? 0))) widest = index;
    });
    if (widest < 0) return null;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return columns.map((column, index) => ({ ...column, width: widths[index] ?? 0 }));
};

const sizeColumns = (columns: readonly Sized[], cells: number): readonly Sized[] => {
  const excess = totalOf(columns.map(({ width }) => width)) - cells;
  if (excess <= 0) return columns;
  const worst = Math.max(...columns.map(({ rank }) => rank));
  const shrunk = worst < niceToHave ? shrink(columns, excess) : null;
  if (shrunk !== null) return shrunk;
  if (worst === 0) {
    const first = columns[0];
    return first === undefined ? [] : [{ ...first, width: cells }];
  }
  const dropped = columns.findLastIndex(({ rank }) => rank === worst);
  return sizeColumns(columns.toSpliced(dropped, 1), cells);
};

/** One line a row, none wider than `cells`. */
export const tableLines = (
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  { cells, charset }: { readonly cells: number; readonly charset: Charset },
): Line[] => {
  const natural = columns.map((column, position) => {
    const widest = Math.max(0, ...rows.map((row) => cellsOf(screenText(row[position]?.text ?? '', charset))));
    const width = Math.min(column.most, widest);
    return { ...column, least: Math.min(column.least, width), position, width };
  });
  const sized = sizeColumns(
    natural.filter(({ width }) => width > 0),
    cells,
  );
  return rows.map((row) =>
    sized.flatMap(({ position, width }, index): Piece[] => {
      const { text, tone = 'plain' } = row[position] ?? { text: '' };
      const isLast = index === sized.length - 1;
      const piece = { text: (isLast ? shorten : fit)(text, width, charset), tone };
      return isLast ? [piece] : [piece, { text: ' '.repeat(gap) }];
    }),
  );
};
