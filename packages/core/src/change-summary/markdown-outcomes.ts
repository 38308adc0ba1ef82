// The outcomes of a summary as Markdown: failures by what is behind them, everything else by name.
import type { VerdictKind } from '../verdict.ts';
import { utf8Length } from './byte-budget.ts';
import type { JobSummary, SummarizedOutcome } from './document.ts';
import { toCode, toCodeBlock, toCodeList, toLink } from './escape.ts';
import { formatCount, formatNumberOf } from './headline.ts';
import type { Detail } from './markdown-detail.ts';

/** What is left of the bytes that all log excerpts of a summary may take together. */
export interface LogAllowance {
  bytes: number;
}

/** Failures with one thing behind them: told once. */
interface FailureGroup {
  readonly first: SummarizedOutcome;
  readonly rows: SummarizedOutcome[];
}

const failureTitles: readonly (readonly [VerdictKind, string])[] = [
  ['newly-failing', '❌ Newly failing'],
  ['newly-unevaluable', '❌ No longer evaluating'],
  ['failing-base-unknown', '⏳ Failing, base not known yet'],
  ['timed-out', '⏱️ Timed out'],
];

const quietTitles: readonly (readonly [VerdictKind, string])[] = [
  ['flaky', 'Flaky: failed, then succeeded'],
  ['not-built', 'Not built'],
  ['cancelled', 'Cancelled'],
  ['still-failing', 'Failing on the base too'],
  ['still-unevaluable', 'Not evaluating on the base either'],
  ['unavailable', 'Refused by their own meta'],
  ['newly-succeeding', 'Newly succeeding'],
];

const countWords: readonly (readonly [VerdictKind, string])[] = [
  ['newly-failing', '❌ $ newly failing'],
  ['newly-unevaluable', '❌ $ no longer evaluating'],
  ['failing-base-unknown', '⏳ $ failing, base unknown'],
  ['timed-out', '⏱️ $ timed out'],
  ['cancelled', '🚫 $ cancelled'],
  ['in-progress', '⏳ $ to build'],
  ['not-built', '⚪ $ not built'],
  ['flaky', '🎲 $ flaky'],
  ['still-failing', '⚠️ $ failing as before'],
  ['still-unevaluable', '⚠️ $ not evaluating as before'],
  ['newly-succeeding', '✅ $ newly succeeding'],
  ['still-succeeding', '✅ $ succeeding'],
];

/** `❌ 2 newly failing · ✅ 40 succeeding · 3 unchanged` */
export const renderCounts = ({ outcomeCounts, attributes }: JobSummary): string => {
  const parts = countWords
    .filter(([kind]) => outcomeCounts[kind] > 0)
    .map(([kind, words]) => words.replace('$', formatCount(outcomeCounts[kind])));
  if (attributes.unchanged > 0) parts.push(`${formatCount(attributes.unchanged)} unchanged`);
  if (outcomeCounts.unavailable > 0) parts.push(`${formatCount(outcomeCounts.unavailable)} unavailable`);
  return parts.join(' · ');
};

const groupKey = ({ culprit, evaluation, note, attr }: SummarizedOutcome): string =>
  evaluation !== null
    ? JSON.stringify([evaluation.message, evaluation.position])
    : JSON.stringify([culprit?.drvPath ?? attr, note]);

const groupFailures = (rows: readonly SummarizedOutcome[]): FailureGroup[] => {
  const groups = new Map<string, FailureGroup>();
  for (const row of rows) {
    const key = groupKey(row);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { first: row, rows: [row] });
    else group.rows.push(row);
  }
  return [...groups.values()];
};

const causeWords = ({ cause, reason }: SummarizedOutcome): string => {
  const why = reason === null ? '' : `: ${toCode(reason, 160)}`;
  return cause === null || cause === 'builder-exit' ? why : ` (${cause})${why}`;
};

const namesOf = (rows: readonly SummarizedOutcome[]): string[] =>
  rows.flatMap((row) => [row.attr, ...row.aliases]);

const describeEvaluation = (group: FailureGroup): string => {
  const position = group.first.evaluation?.position ?? null;
  const where =
    position === null ? '' : ` at ${toCode(`${position.file}:${position.line}:${position.column}`)}`;
  return `${toCodeList(namesOf(group.rows), 8)}${where}`;
};

/** A note says what the base cannot, or what earlier attempts came to. */
const renderNote = ({ note, base }: SummarizedOutcome): string => {
  if (note === null) return '';
  return base === 'unknowable' ? ` _Base unknown_: ${toCode(note, 240)}.` : ` _Note_: ${toCode(note, 240)}.`;
};

const describeBuild = ({ first, rows }: FailureGroup): string => {
  const { culprit } = first;
  const verb = first.kind === 'timed-out' ? 'timed out' : 'failed';
  const own = rows.length === 1 && (culprit === null || culprit.drvPath === first.drvPath);
  const note = renderNote(first);
  if (own) {
    const also = first.aliases.length === 0 ? '' : ` (also ${toCodeList(first.aliases, 3)})`;
    const system = first.system === null ? '' : ` on ${toCode(first.system)}`;
    return `${toCode(first.attr)}${also}${system} ${verb}${causeWords(first)}.${note}`;
  }
  const broken = rows.filter(({ drvPath }) => drvPath !== culprit?.drvPath);
  const name = toCode(culprit?.attr ?? culprit?.name ?? first.attr);
  const breaks = `${formatNumberOf(broken.length, 'package')} that ${broken.length === 1 ? 'needs' : 'need'} it`;
  return `${name} ${verb}${causeWords(first)}, and with it ${breaks}: ${toCodeList(namesOf(broken), 8)}.${note}`;
};

const excerptOf = ({ evaluation, logTail }: SummarizedOutcome, maxLines: number): readonly string[] => {
  if (maxLines === 0) return [];
  return evaluation === null ? logTail.slice(-maxLines) : evaluation.message.split('\n').slice(0, maxLines);
};

const renderLog = (group: FailureGroup, detail: Detail, allowance: LogAllowance): string | null => {
  const lines = excerptOf(group.first, detail.logLines);
  if (lines.length === 0) return null;
  const block = toCodeBlock(lines);
  const bytes = utf8Length(block);
  if (bytes > allowance.bytes) return 'The log is left out here, for size.';
  allowance.bytes -= bytes;
  return block;
};

const renderGroup = (group: FailureGroup, detail: Detail, allowance: LogAllowance): string => {
  const { first } = group;
  const title = first.evaluation === null ? describeBuild(group) : describeEvaluation(group);
  const log = renderLog(group, detail, allowance);
  const link = first.logUrl === null ? [] : [toLink('whole log', first.logUrl)];
  const command = first.reproduce === null ? [] : [toCodeBlock([first.reproduce], 'sh', 400)];
  const body = [...(log === null ? [] : [log]), ...link, ...command];
  if (body.length === 0) return title;
  const summary = log === null ? 'How to reproduce' : first.evaluation === null ? 'Log' : 'Message';
  return `${title}\n<details><summary>${summary}</summary>\n\n${body.join('\n\n')}\n\n</details>`;
};

const renderFailures = (job: JobSummary, detail: Detail, allowance: LogAllowance): string[] =>
  failureTitles.flatMap(([kind, title]) => {
    const rows = job.outcomes.filter((row) => row.kind === kind);
    if (rows.length === 0) return [];
    const groups = groupFailures(rows);
    const shown = groups.slice(0, detail.failures).map((group) => renderGroup(group, detail, allowance));
    const left = groups.slice(detail.failures).reduce((sum, group) => sum + group.rows.length, 0);
    const more = left > 0 ? [`… and ${formatCount(left)} more.`] : [];
    return [`#### ${title} (${formatCount(rows.length)})`, ...shown, ...more];
  });

const describeQuiet = (row: SummarizedOutcome): string => {
  const name =
    row.aliases.length === 0 ? toCode(row.attr) : `${toCode(row.attr)} (also ${toCodeList(row.aliases, 3)})`;
  if (row.kind === 'unavailable') return `${name}: ${row.unavailable.join(', ')}`;
  if (row.evaluation !== null) return `${name}: ${toCode(row.evaluation.message, 100)}`;
  const culprit =
    row.culprit !== null && row.culprit.drvPath !== row.drvPath
      ? ` because ${toCode(row.culprit.name)} did`
      : '';
  if (row.kind === 'flaky' && row.note !== null) return `${name}: ${toCode(row.note, 240)}`;
  return row.reason === null ? `${name}${culprit}` : `${name}${culprit}: ${toCode(row.reason, 100)}`;
};

const renderQuiet = (job: JobSummary, detail: Detail): string[] =>
  quietTitles.flatMap(([kind, title]) => {
    const rows = job.outcomes.filter((row) => row.kind === kind);
    if (rows.length === 0) return [];
    const items = rows.slice(0, detail.listed).map((row) => `- ${describeQuiet(row)}`);
    const left = rows.length - items.length;
    if (left > 0) items.push(`- … and ${formatCount(left)} more`);
    const summary = `${title} (${formatCount(rows.length)})`;
    return [`<details><summary>${summary}</summary>\n\n${items.join('\n')}\n\n</details>`];
  });

/** Blocks for one job: what breaks is open, what does not is folded. */
export const renderOutcomes = (job: JobSummary, detail: Detail, allowance: LogAllowance): string[] => [
  ...renderFailures(job, detail, allowance),
  ...renderQuiet(job, detail),
];
