// The checks of a change as Markdown: one table, and the end of what those that did not pass have said.
import type { CheckOutcome } from '../check-outcome.ts';
import { utf8Length } from './byte-budget.ts';
import type { SummarizedCheck } from './document.ts';
import { toCode, toCodeBlock, toLink } from './escape.ts';
import { formatNumberOf } from './headline.ts';
import type { Detail } from './markdown-detail.ts';
import type { LogAllowance } from './markdown-outcomes.ts';

const signs: Readonly<Record<CheckOutcome, string>> = {
  passed: '✅',
  failed: '❌',
  'timed-out': '⏱️',
  refused: '❌',
  cancelled: '🚫',
  interrupted: '⚪',
};

const formatSeconds = (ms: number | null): string => (ms === null ? '—' : `${(ms / 1000).toFixed(1)} s`);

const describeOutcome = ({ outcome, reason, kept }: SummarizedCheck): string => {
  const why = reason === null ? '' : `: ${toCode(reason, 240)}`;
  return `${outcome}${why}${kept ? ' (run before)' : ''}`;
};

const renderRow = (check: SummarizedCheck): string => {
  const log = check.logUrl === null ? '' : toLink('log', check.logUrl);
  return `| ${signs[check.outcome]} ${toCode(check.name, 60)} | ${describeOutcome(check)} | ${formatSeconds(check.durationMs)} | ${log} |`;
};

const renderOutput = (check: SummarizedCheck, detail: Detail, allowance: LogAllowance): string[] => {
  if (check.outcome === 'passed' || check.outputTail.length === 0 || detail.logLines === 0) return [];
  const block = toCodeBlock(check.outputTail.slice(-detail.logLines));
  const bytes = utf8Length(block);
  if (bytes > allowance.bytes) return [];
  allowance.bytes -= bytes;
  return [
    `<details><summary>Output of a check that did not pass</summary>\n\n${toCode(check.name, 60)}\n\n${block}\n\n</details>`,
  ];
};

/** Blocks for all checks of a change; none where it has none. */
export const renderChecks = (
  checks: readonly SummarizedCheck[],
  detail: Detail,
  allowance: LogAllowance,
): string[] => {
  if (checks.length === 0) return [];
  const worstFirst = checks.toSorted(
    (one, other) => Number(one.outcome === 'passed') - Number(other.outcome === 'passed'),
  );
  const shown = worstFirst.slice(0, detail.sections ? detail.failures : detail.listed);
  const left = checks.length - shown.length;
  const table = ['| check | outcome | duration | |', '|---|---|---|---|', ...shown.map(renderRow)].join('\n');
  return [
    '### Checks',
    table,
    ...(left > 0 ? [`… and ${formatNumberOf(left, 'more check')}.`] : []),
    ...(detail.sections ? shown.flatMap((check) => renderOutput(check, detail, allowance)) : []),
  ];
};
