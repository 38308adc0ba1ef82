// Where each pane is: below each other, in two columns where there is room, one at a time where there is none.
import { type PaneName, panes, type WatchState } from './watch-state.ts';

export interface PlacedPane {
  readonly pane: PaneName;
  /** Its title included. */
  readonly rows: number;
}

export interface PaneColumn {
  readonly cells: number;
  readonly panes: readonly PlacedPane[];
}

export type Layout =
  /** Below the names of all panes, of which it is one. */
  | { readonly kind: 'one'; readonly rows: number }
  | { readonly kind: 'columns'; readonly columns: readonly PaneColumn[] };

const fewestRows = 16;
const fewestCells = 30;
const cellsForTwo = 150;
export const separatorCells = 3;

/** They do not follow the counts from second to second: what is read must not jump. */
const weights: Readonly<Record<PaneName, number>> = {
  builders: 0,
  running: 3,
  queue: 2,
  changes: 2,
  failures: 2,
};
const focusWeight = 2;

/** Shares of `rows`, each at least a title and one row. */
const shareRows = (state: WatchState, names: readonly PaneName[], rows: number): PlacedPane[] => {
  // They are few, and each of them matters.
  const builders = Math.max(1, Math.min(state.facts?.builders.length ?? 1, Math.floor(rows / 5)));
  const placed = names.map((pane) => ({ pane, rows: pane === 'builders' ? 1 + builders : 2 }));
  const weightOf = (pane: PaneName): number => weights[pane] + (state.focus === pane ? focusWeight : 0);
  const shares = placed.filter(({ pane }) => pane !== 'builders');
  const taken = placed.reduce((sum, one) => sum + one.rows, 0);
  for (let left = rows - taken; left > 0; left--) {
    const poorest = shares.toSorted((a, b) => a.rows / weightOf(a.pane) - b.rows / weightOf(b.pane))[0];
    if (poorest === undefined) break;
    poorest.rows += 1;
  }
  return placed;
};

/** @param rows what head and foot leave */
export const layoutOf = (state: WatchState, rows: number): Layout => {
  const { columns } = state;
  if (rows < fewestRows - 2 || columns < fewestCells) return { kind: 'one', rows: Math.max(0, rows - 1) };
  if (columns < cellsForTwo) {
    return { kind: 'columns', columns: [{ cells: columns, panes: shareRows(state, panes, rows) }] };
  }
  const left = Math.floor((columns - separatorCells) / 2);
  const right = columns - separatorCells - left;
  return {
    kind: 'columns',
    columns: [
      { cells: left, panes: shareRows(state, ['builders', 'running', 'failures'], rows) },
      { cells: right, panes: shareRows(state, ['changes', 'queue'], rows) },
    ],
  };
};
