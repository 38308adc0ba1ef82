// The change summary as Markdown for a forge: the answer first, and never more bytes than a forge takes.
import type { Conclusion } from '../verdict.ts';
import { cutToBytes, utf8Length } from './byte-budget.ts';
import type { ChangeIdentification, ChangeSummary, JobSummary, Notice } from './document.ts';
import { toCode, toCodeBlock, toLink } from './escape.ts';
import { formatNumberOf } from './headline.ts';
import { renderChecks } from './markdown-checks.ts';
import { type Detail, detailSteps, leastDetail } from './markdown-detail.ts';
import { renderImpact, renderSizes } from './markdown-impact.ts';
import { type LogAllowance, renderCounts, renderOutcomes } from './markdown-outcomes.ts';
import { renderPackageChanges } from './markdown-packages.ts';

export interface MarkdownOptions {
  /** Where everything is shown; null where there is no such page, as in a local review. */
  readonly pageUrl: string | null;
  /** For each job. @default 100 */
  readonly maxPackagesListed?: number;
  /** True: packages that are only rebuilt are listed, not counted. @default false */
  readonly includeRebuildOnly?: boolean;
  /** @default 5 */
  readonly maxTopBlastRadius?: number;
}

/** UTF-8 bytes that the detail is chosen for. */
export const MARKDOWN_BYTES = 60_000;
/** UTF-8 bytes that are never exceeded: GitHub takes 65,535. */
export const MARKDOWN_BYTES_CAP = 65_500;

const signs: Readonly<Record<Conclusion, string>> = {
  success: '✅',
  failure: '❌',
  pending: '⏳',
  'action-required': '✋',
  'timed-out': '⏱️',
  cancelled: '🚫',
  neutral: '⚪',
};
const noticeSigns: Readonly<Record<Notice['level'], string>> = { error: '❌', warning: '⚠️', info: 'ℹ️' };

const renderNotices = (notices: readonly Notice[], detail: Detail): string[] => {
  const lines = notices
    .slice(0, detail.listed)
    .map(({ level, about, message }) => `- ${noticeSigns[level]} ${about}: ${toCode(message, 300)}`);
  const left = notices.length - lines.length;
  if (left > 0) lines.push(`- … and ${formatNumberOf(left, 'more notice')}`);
  return lines.length === 0 ? [] : [lines.join('\n')];
};

const shortSha = (sha: string): string => toCode(sha.slice(0, 12));

/** How the judged tree came about, in the reader's own git. */
const checkoutCommand = ({ baseSha, headSha, merged }: ChangeIdentification): string | null => {
  if (![headSha, baseSha ?? headSha].every((sha) => /^[0-9a-f]{7,64}$/.test(sha))) return null;
  return merged && baseSha !== null
    ? `git checkout --detach ${baseSha} && git merge --no-edit ${headSha}`
    : `git checkout --detach ${headSha}`;
};

const describeSource = (change: ChangeIdentification, pageUrl: string | null): string => {
  const base =
    change.baseSha === null
      ? ''
      : ` ${change.merged ? 'merged into' : 'against'} ${shortSha(change.baseSha)}`;
  const page = pageUrl === null ? '' : ` · ${toLink('everything about this change', pageUrl)}`;
  return `${shortSha(change.headSha)}${base}${page}`;
};

interface Page {
  readonly detail: Detail;
  readonly options: Required<MarkdownOptions>;
  readonly allowance: LogAllowance;
}

const renderJob = (job: JobSummary, isOnly: boolean, { detail, options, allowance }: Page): string[] => {
  const heading = isOnly ? [] : [`### ${signs[job.conclusion]} ${toCode(job.job, 60)}: ${job.headline}`];
  if (!detail.sections) return isOnly ? [] : heading;
  const reason = job.notJudged === null ? [] : [toCodeBlock(job.notJudged.split('\n').slice(0, 40))];
  const counts = renderCounts(job);
  return [
    ...heading,
    ...renderNotices(job.notices, detail),
    ...reason,
    ...(counts === '' ? [] : [counts]),
    ...renderOutcomes(job, detail, allowance),
    ...renderPackageChanges(job, { ...options, detail }),
    ...renderImpact(job.rebuildImpact, detail, options.maxTopBlastRadius),
    ...renderSizes(job, detail),
  ];
};

const hasFailures = (summary: ChangeSummary): boolean =>
  summary.jobs.some((job) => job.outcomes.some(({ reproduce }) => reproduce !== null));

const renderReproduction = (summary: ChangeSummary, detail: Detail): string[] => {
  const command = checkoutCommand(summary.change);
  if (command === null || !detail.sections || !hasFailures(summary)) return [];
  const block = toCodeBlock([command], 'sh', 400);
  return [`<details><summary>How to get the tree that was judged</summary>\n\n${block}\n\n</details>`];
};

/** Null as soon as it is more than `maxBytes`: what follows need not be rendered to know that. */
const renderPage = (
  summary: ChangeSummary,
  page: Page,
  { footer, maxBytes }: { readonly footer: readonly string[]; readonly maxBytes: number },
): string | null => {
  const blocks: string[] = [];
  let bytes = 0;
  const fits = (more: readonly string[]): boolean => {
    blocks.push(...more);
    for (const block of more) bytes += utf8Length(block) + 2;
    return bytes <= maxBytes;
  };
  const head = [
    `## ${signs[summary.conclusion]} ${summary.headline}`,
    describeSource(summary.change, page.options.pageUrl),
  ];
  if (!fits([...head, ...renderNotices(summary.notices, page.detail)])) return null;
  for (const job of summary.jobs) if (!fits(renderJob(job, summary.jobs.length === 1, page))) return null;
  if (!fits(renderChecks(summary.checks, page.detail, page.allowance))) return null;
  return fits([...renderReproduction(summary, page.detail), ...footer]) ? `${blocks.join('\n\n')}\n` : null;
};

const formatFooter = (dropped: readonly string[], pageUrl: string | null): string => {
  const where = pageUrl === null ? '' : ` It is on ${toLink('the full page', pageUrl)}.`;
  return `_Left out here, for size: ${dropped.join('; ')}.${where}_`;
};

const toPage = (detail: Detail, options: Required<MarkdownOptions>): Page => ({
  detail,
  options,
  allowance: { bytes: detail.logBytes },
});

/** The same document gives the same text, to the byte; at most `MARKDOWN_BYTES_CAP` bytes of UTF-8. */
export const renderMarkdown = (summary: ChangeSummary, given: MarkdownOptions): string => {
  const options = { maxPackagesListed: 100, includeRebuildOnly: false, maxTopBlastRadius: 5, ...given };
  const dropped: string[] = [];
  for (const step of detailSteps) {
    if (step.dropped !== null && step.isPresent(summary)) dropped.push(step.dropped);
    const footer = dropped.length === 0 ? [] : [formatFooter(dropped, options.pageUrl)];
    const text = renderPage(summary, toPage(step.detail, options), { footer, maxBytes: MARKDOWN_BYTES });
    if (text !== null) return text;
  }
  const text =
    renderPage(summary, toPage(leastDetail, options), { footer: [], maxBytes: Number.POSITIVE_INFINITY }) ??
    '';
  return cutToBytes(text, MARKDOWN_BYTES_CAP, formatFooter(['the rest'], options.pageUrl));
};
