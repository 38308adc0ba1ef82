// Progress on a terminal: a few lines that are redrawn in place, with what runs now and for how long.
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { progressLine } from './line-view.ts';
import { formatDuration, type ProgressView, plural, printable } from './progress-view.ts';
import { initialState, nextReviewState, type ReviewState } from './review-state.ts';

export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  write(text: string): void;
}

const escape = '\u001b';
const hideCursor = `${escape}[?25l`;
const showCursor = `${escape}[?25h`;
const clearDown = `${escape}[J`;
const spinner = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';

const cut = (line: string, columns: number): string =>
  line.length > columns ? `${line.slice(0, columns - 1)}…` : line;

const bar = (done: number, total: number): string => {
  const width = 24;
  const full = total === 0 ? 0 : Math.min(width, Math.round((done / total) * width));
  return `${'█'.repeat(full)}${'░'.repeat(width - full)}`;
};

const evaluationLines = (state: ReviewState): string[] =>
  [...state.evaluations.values()]
    .filter((one) => !one.done)
    .map(
      (one) =>
        `evaluating ${printable(one.job)} (${one.side})  ${one.evaluated} of ${one.known}, ${one.failed} failing`,
    );

const buildLines = (state: ReviewState, nowMs: number, most: number): string[] => {
  if (state.total === 0) return [];
  const failed = state.failed === 0 ? '' : `, ${state.failed} not succeeded`;
  const lines = [
    `${bar(state.finished, state.total)} ${state.finished} of ${plural(state.total, 'build')}${failed}`,
  ];
  const running = [...state.running.values()].toSorted((a, b) => a.startedAt - b.startedAt);
  for (const build of running.slice(0, most)) {
    const phase = build.phase === null ? '' : `  ${printable(build.phase)}`;
    lines.push(`  ${printable(build.name)}${phase}  ${formatDuration(nowMs - build.startedAt)}`);
  }
  if (running.length > most) lines.push(`  and ${running.length - most} more`);
  return lines;
};

const checkLines = (state: ReviewState, nowMs: number): string[] => {
  const running = [...state.checks];
  const lines = running
    .slice(0, 3)
    .map(([name, startedAt]) => `check ${printable(name)}  ${formatDuration(nowMs - startedAt)}`);
  return running.length > 3 ? [...lines, `and ${plural(running.length - 3, 'more check')}`] : lines;
};

/** What is drawn at one moment, without the spinner; empty when nothing is under way. */
export const frameLines = (state: ReviewState, nowMs: number, rows: number): string[] => [
  ...(state.checkedOut === null ? ['checking out both trees'] : []),
  ...evaluationLines(state),
  ...checkLines(state, nowMs),
  ...buildLines(state, nowMs, Math.max(1, rows - 6 - Math.min(4, state.checks.size))),
];

/** Events that are over stay above the redrawn part as plain lines. Redraws ten times a second. */
export const createLiveView = (terminal: Terminal, now: () => number): ProgressView => {
  let state = initialState;
  let drawn = 0;
  let turn = 0;
  const erase = (): string => (drawn === 0 ? '' : `${escape}[${drawn}F${clearDown}`);
  const draw = (above = ''): void => {
    const lines = frameLines(state, now(), terminal.rows).map((line, index) =>
      cut(index === 0 ? `${spinner[turn % spinner.length]} ${line}` : `  ${line}`, terminal.columns),
    );
    const text = lines.map((line) => `${line}\n`).join('');
    if (text !== '' || above !== '' || drawn > 0) terminal.write(`${erase()}${above}${text}`);
    drawn = lines.length;
  };
  const timer = setInterval(() => {
    turn += 1;
    draw();
  }, 100);
  terminal.write(hideCursor);
  const show = (event: ReviewEvent): void => {
    state = nextReviewState(state, event, now());
    const quiet =
      event.type === 'build-started' ||
      (event.type === 'build-finished' && event.outcome === 'succeeded') ||
      event.type === 'check-started';
    const line = quiet ? null : progressLine(event);
    if (line !== null) draw(`${cut(line, terminal.columns)}\n`);
  };
  return {
    show,
    end: () => {
      clearInterval(timer);
      terminal.write(`${erase()}${showCursor}`);
      drawn = 0;
    },
  };
};
