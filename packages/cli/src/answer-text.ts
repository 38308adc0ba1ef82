// What a server answered, as text that is safe to print: tables, facts, JSON.
import { printable } from './progress/progress-view.ts';
import { cellsOf } from './screen-text.ts';

/** Rows below their headings, the columns aligned. Ends with a line feed. */
export const tableText = (headings: readonly string[], rows: readonly (readonly string[])[]): string => {
  const all = [headings, ...rows.map((row) => row.map(printable))];
  const widths = headings.map((_, column) => Math.max(...all.map((row) => cellsOf(row[column] ?? ''))));
  const pad = (cell: string, column: number): string =>
    cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - cellsOf(cell)));
  const lines = all.map((row) => row.map(pad).join('  '));
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
};

/** One fact a line; those that are null are left out. Ends with a line feed. */
export const factsText = (facts: readonly (readonly [name: string, value: string | null])[]): string => {
  const known = facts.filter((fact): fact is [string, string] => fact[1] !== null);
  const width = Math.max(...known.map(([name]) => name.length));
  return known.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}\n`).join('');
};

/** JSON without anything that a terminal acts on. */
export const jsonText = (value: unknown, indent: number): string =>
  JSON.stringify(value, null, indent).replace(
    // What JSON itself leaves as it is.
    /[\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** How long ago, in its largest unit: `40s`, `5m`, `3h`, `2d`. */
export const formatAge = (ms: number): string => {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
};
