// Rebuild impact and sizes of a summary as Markdown.
import type { RebuildImpact } from '../rebuild-impact.ts';
import type { JobSummary, SummarizedSizes } from './document.ts';
import { toCode, toCodeList } from './escape.ts';
import { formatCount, formatNumberOf } from './headline.ts';
import type { Detail } from './markdown-detail.ts';
import type { ByteChange, SizeComparison } from './sizes.ts';

const nameOf = ({ attr, name }: { readonly attr: string | null; readonly name: string }): string =>
  attr ?? name;

const renderBlastRadius = ({ topBlastRadius }: RebuildImpact, max: number): string[] => {
  const rows = topBlastRadius
    .slice(0, max)
    .map((row) => `| ${toCode(nameOf(row))} | ${formatCount(row.dependents)} |`);
  return rows.length === 0 ? [] : [`| Package | Packages rebuilt with it |\n|---|--:|\n${rows.join('\n')}`];
};

const renderCauses = (impact: RebuildImpact, detail: Detail): string[] => {
  const { causes, causeCount, editedAttrs, totalRebuilds } = impact;
  if (causeCount === 0) return [];
  const listed = causes.slice(0, detail.listed).map(nameOf);
  const more = causeCount > listed.length ? ` and ${formatCount(causeCount - listed.length)} more` : '';
  const edit = `The edit itself is ${formatNumberOf(causeCount, 'derivation')}: ${toCodeList(listed, listed.length)}${more}`;
  const packages = editedAttrs.length === 0 ? '' : `, part of ${toCodeList(editedAttrs, detail.listed)}`;
  const fallout = totalRebuilds - causeCount;
  return [
    `${edit}${packages}.${fallout > 0 ? ` Everything else (${formatCount(fallout)}) follows from it.` : ''}`,
  ];
};

/** Blocks for one job; none where nothing is rebuilt. */
export const renderImpact = (impact: RebuildImpact | null, detail: Detail, maxTop: number): string[] => {
  if (impact === null || impact.totalRebuilds === 0) return [];
  const systems = impact.systems
    .slice(0, detail.listed)
    .map(({ system, rebuilds }) => `${formatCount(rebuilds)} on ${toCode(system)}`);
  const labels = impact.kernels.map(({ kernel, bucket }) => `\`rebuild-${kernel}: ${bucket}\``).join(' ');
  const total = `${formatNumberOf(impact.totalRebuilds, 'derivation')} in all`;
  const summary = `**Rebuilds:** ${[...systems, total].join(', ')} · ${labels}`;
  const body = [...renderCauses(impact, detail), ...renderBlastRadius(impact, Math.min(maxTop, 50))];
  if (body.length === 0) return [summary];
  return [
    summary,
    `<details><summary>Where the rebuilds come from</summary>\n\n${body.join('\n\n')}\n\n</details>`,
  ];
};

/** Binary units, as Nix itself prints sizes. */
const formatBytes = (bytes: number): string => {
  const size = Math.abs(bytes);
  if (size < 1024) return `${bytes} B`;
  if (size < 1024 ** 2) return `${(bytes / 1024).toFixed(1)} KiB`;
  if (size < 1024 ** 3) return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
  return `${(bytes / 1024 ** 3).toFixed(2)} GiB`;
};

const signed = (text: string, value: number): string => (value > 0 ? `+${text}` : text.replace('-', '−'));

const formatByteChange = ({ bytes, differenceBytes, differencePercent }: ByteChange): string => {
  if (differenceBytes === null) return `${formatBytes(bytes)} (new)`;
  if (differenceBytes === 0) return formatBytes(bytes);
  const percent =
    differencePercent === null ? '' : `, ${signed(`${differencePercent.toFixed(1)} %`, differencePercent)}`;
  return `${formatBytes(bytes)} (${signed(formatBytes(differenceBytes), differenceBytes)}${percent})`;
};

const formatReferences = ({ gainedReferences, lostReferences }: SizeComparison): string =>
  [
    gainedReferences.length === 0 ? '' : `+ ${toCodeList(gainedReferences, 3)}`,
    lostReferences.length === 0 ? '' : `− ${toCodeList(lostReferences, 3)}`,
  ]
    .filter((part) => part !== '')
    .join('; ');

const isDifferent = ({ nar, closure, gainedReferences, lostReferences }: SizeComparison): boolean =>
  (nar.differenceBytes ?? 1) !== 0 ||
  (closure.differenceBytes ?? 1) !== 0 ||
  gainedReferences.length + lostReferences.length > 0;

const weightOf = ({ closure, nar }: SizeComparison): number =>
  Math.max(Math.abs(closure.differenceBytes ?? 0), Math.abs(nar.differenceBytes ?? 0));

const compareWeight = (a: SizeComparison, b: SizeComparison): number =>
  Number(b.breached) - Number(a.breached) || weightOf(b) - weightOf(a);

const renderSizeRow = (row: SizeComparison): string => {
  const name = row.output === 'out' ? toCode(row.attr) : `${toCode(row.attr)} ${toCode(row.output)}`;
  const mark = row.breached ? '⚠️ ' : '';
  return `| ${mark}${name} | ${formatByteChange(row.nar)} | ${formatByteChange(row.closure)} | ${formatReferences(row)} |`;
};

const renderSizeRows = (rows: readonly SizeComparison[]): string =>
  `| Output | Size | With its closure | References |\n|---|---|---|---|\n${rows.map(renderSizeRow).join('\n')}`;

/** Our own words and numbers. */
export const describeBreaches = ({
  breaches,
  maxIncreasePercent,
}: Pick<SummarizedSizes, 'breaches' | 'maxIncreasePercent'>): string =>
  `${formatNumberOf(breaches, 'output')} grew by more than ${maxIncreasePercent ?? 0} %`;

/** A table of what breaches a job's `size_check`, the largest difference first. @param most rows */
export const renderBreaches = (comparisons: readonly SizeComparison[], most: number): string => {
  const rows = comparisons.filter(({ breached }) => breached).sort(compareWeight);
  const left = rows.length - most;
  const more = left > 0 ? `\n\n… and ${formatNumberOf(left, 'more output')}.` : '';
  return `${renderSizeRows(rows.slice(0, most))}${more}`;
};

/** Blocks for one job: what breaches the job's `size_check` first, then by difference. */
export const renderSizes = ({ sizes }: JobSummary, detail: Detail): string[] => {
  const rows = (sizes?.comparisons ?? []).filter(isDifferent).sort(compareWeight);
  if (sizes === null || rows.length === 0) return [];
  const shown = rows.slice(0, detail.listed);
  const left = rows.length - shown.length;
  const more = left > 0 ? `\n\n… and ${formatNumberOf(left, 'more output')}.` : '';
  const table = `${renderSizeRows(shown)}${more}`;
  const breach = sizes.breaches > 0 ? `: ⚠️ ${describeBreaches(sizes)}` : '';
  return [
    `<details><summary>Sizes of ${formatNumberOf(rows.length, 'output')} changed${breach}</summary>\n\n${table}\n\n</details>`,
  ];
};
