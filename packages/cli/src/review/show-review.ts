// How a review looks: progress on standard error, so that standard output holds the summary alone.
import { createLineView } from '../progress/line-view.ts';
import { createLiveView } from '../progress/live-view.ts';
import { type ProgressView, printableLines } from '../progress/progress-view.ts';
import { summaryText } from '../summary-text.ts';
import { columnsOf, useColours } from '../terminal.ts';
import type { ReviewOutcome } from './review-outcome.ts';

export interface ShowOptions {
  readonly markdown?: true;
  readonly json?: true;
  readonly quiet?: true;
}

const silentView: ProgressView = { show: () => {}, end: () => {} };

export const progressOnStderr = (): ProgressView => {
  const { stderr } = process;
  if (!stderr.isTTY || process.env['TERM'] === 'dumb')
    return createLineView((text) => void stderr.write(text));
  const terminal = {
    get columns() {
      return stderr.columns;
    },
    get rows() {
      return stderr.rows;
    },
    write: (text: string) => void stderr.write(text),
  };
  return createLiveView(terminal, Date.now);
};

export const progressView = ({ quiet }: ShowOptions): ProgressView =>
  quiet ? silentView : progressOnStderr();

const summaryOf = (outcome: Extract<ReviewOutcome, { kind: 'judged' }>, options: ShowOptions): string => {
  if (options.json) return `${JSON.stringify(outcome.summary, null, 2)}\n`;
  if (options.markdown) return outcome.markdown.endsWith('\n') ? outcome.markdown : `${outcome.markdown}\n`;
  return summaryText(outcome.summary, { colours: useColours(), columns: columnsOf() });
};

/** @param command as its user called it, for example `ekaci review` */
export const printOutcome = (command: string, outcome: ReviewOutcome, options: ShowOptions): void => {
  switch (outcome.kind) {
    case 'judged':
      process.stdout.write(summaryOf(outcome, options));
      return;
    case 'fault':
      process.stderr.write(`${command}: ${printableLines(outcome.message)}\n`);
      return;
    case 'cancelled':
      process.stderr.write('cancelled\n');
  }
};
