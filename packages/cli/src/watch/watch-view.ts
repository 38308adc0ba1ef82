// What is on the screen at one moment: as many lines as it has rows, none wider than it has columns.

import { type Charset, cellsOf, screenText } from '../screen-text.ts';
import { layoutOf, type PaneColumn, type PlacedPane, separatorCells } from './layout.ts';
import { overlayLines } from './overlay-lines.ts';
import { beyondRows, emptyPane, formatWait, moreText, paneTable, paneTitle } from './pane-rows.ts';
import { clipLine, fitLine, type Line, lineCells, say } from './styled-line.ts';
import { tableLines } from './table.ts';
import { chosenIndex, type PaneName, panes, type WatchState } from './watch-state.ts';

interface Room {
  readonly cells: number;
  readonly charset: Charset;
}

/** Two ends of one line; the right one is kept where both do not fit. */
const spread = (left: Line, right: Line, { cells, charset }: Room): Line => {
  const end = clipLine(right, cells, charset);
  const room = cells - lineCells(end);
  return [...fitLine(left, Math.max(0, room - 1), charset), ...(room > 0 ? say(' ') : []), ...end];
};

/** A server is asked every second; one that is slow or hangs is seen by this. */
const freshMs = 5000;

const connectionPiece = (state: WatchState, { unicode }: Charset): Line => {
  const { connection, answers, nowMs } = state;
  const [on, off] = unicode ? ['●', '○'] : ['*', '!'];
  const forText = formatWait(Math.max(0, nowMs - connection.sinceMs));
  if (connection.kind === 'lost') return say(`${off} reconnecting for ${forText}`, 'bad');
  if (!answers) return say(`${off} no answer for ${formatWait(nowMs - state.factsAtMs)}`, 'bad');
  const ageMs = nowMs - state.factsAtMs;
  if (ageMs > freshMs) return say(`${off} as of ${formatWait(ageMs)} ago`, 'warn');
  if (connection.kind === 'connecting') return say(`${off} connecting`, 'warn');
  return say(`${on} live`, 'good');
};

const headLine = (state: WatchState, charset: Charset): Line =>
  spread(
    [{ text: 'EkaCI', tone: 'strong' }, { text: ` ${state.address}` }],
    connectionPiece(state, charset),
    { cells: state.columns, charset },
  );

/** What keeps work from being begun, and what is not shown. Null: nothing does. */
const noticeOf = ({ facts, leftOut }: WatchState): string | null => {
  const notices = (facts?.status.warnings ?? []).map((warning) => `nothing begins: ${warning}`);
  if (facts?.status.draining === true) notices.push('the server drains: nothing begins any more');
  else if (facts?.status.ready === false) notices.push('the server starts or ends');
  if (leftOut !== null) notices.push(`${leftOut.events} events came too fast: failures may be missing`);
  return notices.length === 0 ? null : notices.join('; ');
};

/** The rows of a pane around the chosen one. */
const paneBody = (
  state: WatchState,
  pane: PaneName,
  { rows, cells, charset }: Room & { readonly rows: number },
): Line[] => {
  if (rows <= 0) return [];
  const table = paneTable(state, pane, charset);
  const beyond = beyondRows(state, pane);
  if (table.rows.length === 0) return [say(`  ${emptyPane(state, pane)}`, 'faint')];
  const hasMore = table.rows.length + beyond > rows;
  const visible = hasMore ? Math.max(1, rows - 1) : rows;
  const chosen = chosenIndex(state, pane);
  const most = Math.max(0, table.rows.length - visible);
  const first = Math.max(0, Math.min(most, chosen - Math.floor(visible / 2)));
  const shown = table.rows.slice(first, first + visible);
  const lines = tableLines(table.columns, shown, { cells: Math.max(0, cells - 2), charset }).map(
    (line, index): Line => {
      const isChosen = state.focus === pane && first + index === chosen;
      return isChosen
        ? fitLine([{ text: '> ', tone: 'strong' }, ...line], cells, charset).map(({ text }) => ({
            text,
            tone: 'chosen' as const,
          }))
        : [{ text: '  ' }, ...line];
    },
  );
  const hidden = table.rows.length - first - shown.length + beyond;
  const before = first === 0 ? '' : `, ${first} before`;
  if (hasMore && rows > 1) lines.push(say(`  ${moreText(hidden)}${before}`, 'faint'));
  return lines;
};

const titleLine = (state: WatchState, pane: PaneName, { cells, charset }: Room): Line => {
  const rule = charset.unicode ? '─' : '-';
  const title = screenText(paneTitle(state, pane), charset);
  const tail = rule.repeat(Math.max(0, cells - cellsOf(title) - 4));
  const tone = state.focus === pane ? 'strong' : 'faint';
  return [
    { text: `${rule} `, tone: 'faint' },
    { text: title, tone },
    { text: ` ${tail}`, tone: 'faint' },
  ];
};

const filled = (lines: readonly Line[], rows: number): Line[] =>
  Array.from({ length: rows }, (_, index) => lines[index] ?? []);

const placedLines = (state: WatchState, { pane, rows }: PlacedPane, { cells, charset }: Room): Line[] =>
  filled(
    [
      titleLine(state, pane, { cells, charset }),
      ...paneBody(state, pane, { rows: rows - 1, cells, charset }),
    ],
    rows,
  );

const columnLines = (state: WatchState, { cells, panes: placed }: PaneColumn, charset: Charset): Line[] =>
  placed.flatMap((one) => placedLines(state, one, { cells, charset }));

/** Panes that do not fit are a key away. */
const tabLine = (state: WatchState): Line =>
  panes.flatMap((pane) => {
    const isFocus = pane === state.focus;
    const text = isFocus ? ` ${paneTitle(state, pane)} ` : ` ${pane.slice(0, 2)} `;
    return [{ text, tone: isFocus ? ('chosen' as const) : ('faint' as const) }];
  });

const bodyLines = (state: WatchState, rows: number, charset: Charset): Line[] => {
  const layout = layoutOf(state, rows);
  if (layout.kind === 'one') {
    const body = paneBody(state, state.focus, { rows: layout.rows, cells: state.columns, charset });
    return [tabLine(state), ...body];
  }
  const [left, right] = layout.columns;
  if (left === undefined) return [];
  const lines = columnLines(state, left, charset);
  if (right === undefined) return lines;
  const others = columnLines(state, right, charset);
  const bar = charset.unicode ? '│' : '|';
  const separator = say(bar.padStart(separatorCells - 1).padEnd(separatorCells), 'faint');
  return Array.from({ length: rows }, (_, index) => [
    ...fitLine(lines[index] ?? [], left.cells, charset),
    ...separator,
    ...(others[index] ?? []),
  ]);
};

const footText = (state: WatchState): string => {
  if (state.overlay?.kind === 'log') return 'q back  up/down scroll  g/G first/last';
  if (state.overlay !== null) return 'q back';
  return 'q quit  ? help  tab pane  up/down move  enter open';
};

/** Exactly `state.rows` lines. */
export const watchLines = (state: WatchState, charset: Charset): readonly Line[] => {
  const { rows, columns } = state;
  const head = [headLine(state, charset)];
  const notice = noticeOf(state);
  if (notice !== null && rows > 6) head.push(say(notice, 'warn'));
  const room = Math.max(0, rows - head.length - 1);
  const body = state.overlay === null ? bodyLines(state, room, charset) : overlayLines(state, room, charset);
  const foot = say(footText(state), 'faint');
  const lines = rows === 1 ? head : [...head, ...filled(body, room), foot];
  return filled(lines, rows).map((line) => clipLine(line, columns, charset));
};
