// The package changes of a summary as Markdown: counts in one line, and a table below it.
import type { PackageChangeKind, PrimaryChange, SecondaryChange } from '../package-changes.ts';
import type { JobSummary, SummarizedPackageChange } from './document.ts';
import { toCode, toCodeList } from './escape.ts';
import { formatCount, formatNumberOf } from './headline.ts';
import type { Detail } from './markdown-detail.ts';

export interface PackageTableOptions {
  readonly detail: Detail;
  readonly maxPackagesListed: number;
  readonly includeRebuildOnly: boolean;
}

const MAX_NAMES = 6;
/** A longer table is folded. */
const MAX_OPEN_ROWS = 15;

const toVersion = (version: string | null): string => (version === null ? 'no version' : toCode(version, 60));

const previousWords = {
  absent: 'added',
  unevaluable: 'evaluates again',
  unavailable: 'available again',
} as const;

/** The two cells after the package's own. */
const describePrimary = (change: PrimaryChange, why: readonly string[] | null): readonly [string, string] => {
  switch (change.kind) {
    case 'Added':
      return [previousWords[change.previously], toVersion(change.version)];
    case 'Removed':
      return ['removed', toVersion(change.version)];
    case 'VersionBump':
      return [
        change.downgrade ? '**downgrade**' : 'update',
        `${toVersion(change.old)} → ${toVersion(change.new)}`,
      ];
    case 'Renamed':
      return [
        'renamed',
        `${toCode(change.old.pname, 60)} ${toVersion(change.old.version)} → ${toCode(change.new.pname, 60)} ${toVersion(change.new.version)}`,
      ];
    case 'RebuildOnly':
      return ['rebuild', why === null || why.length < 2 ? '' : `because of ${toCode(why.at(-1) ?? '', 60)}`];
    case 'Unevaluable':
      return ['does not evaluate', toCode(change.failure.message, 80)];
    case 'Unavailable':
      return ['unavailable', change.reasons.join(', ')];
  }
};

const describeSecondary = (change: SecondaryChange): readonly [string, string] => {
  if (change.kind === 'LicenseChange') {
    const [before, after] = [change.old, change.new].map((labels) =>
      labels.length === 0 ? 'none' : toCodeList(labels, MAX_NAMES),
    );
    return ['license', `${before ?? ''} → ${after ?? ''}`];
  }
  const parts = [
    change.added.length === 0 ? null : `+ ${toCodeList(change.added, MAX_NAMES)}`,
    change.removed.length === 0 ? null : `− ${toCodeList(change.removed, MAX_NAMES)}`,
  ];
  return ['maintainers', parts.filter((part) => part !== null).join('; ')];
};

const isPrimaryShown = (
  primary: PrimaryChange | null,
  options: PackageTableOptions,
): primary is PrimaryChange =>
  primary !== null && (options.includeRebuildOnly || primary.kind !== 'RebuildOnly');

const isSecondaryShown = ({ kind }: SecondaryChange, { detail }: PackageTableOptions): boolean =>
  kind === 'LicenseChange' ? detail.licenseRows : detail.maintainerRows;

const isListed = ({ primary, secondary }: SummarizedPackageChange, options: PackageTableOptions): boolean =>
  isPrimaryShown(primary, options) || secondary.some((change) => isSecondaryShown(change, options));

const rowsOf = (change: SummarizedPackageChange, options: PackageTableOptions): string[] => {
  const { primary, why } = change;
  const cells = isPrimaryShown(primary, options) ? [describePrimary(primary, why)] : [];
  for (const secondary of change.secondary) {
    if (isSecondaryShown(secondary, options)) cells.push(describeSecondary(secondary));
  }
  const also = change.aliases.length === 0 ? '' : ` (also ${toCodeList(change.aliases, 3)})`;
  return cells.map(([kind, text], index) =>
    index === 0 ? `| ${toCode(change.attr)}${also} | ${kind} | ${text} |` : `| | ${kind} | ${text} |`,
  );
};

const kindWords: readonly (readonly [PackageChangeKind, string])[] = [
  ['Added', 'added'],
  ['Removed', 'removed'],
  ['VersionBump', 'updated'],
  ['Renamed', 'renamed'],
  ['Unevaluable', 'no longer evaluating'],
  ['Unavailable', 'no longer available'],
  ['LicenseChange', 'with another license'],
  ['MaintainerChange', 'with other maintainers'],
];

const countKinds = (changes: readonly SummarizedPackageChange[]): Map<PackageChangeKind, number> => {
  const counts = new Map<PackageChangeKind, number>();
  for (const { primary, secondary } of changes) {
    const kinds = [...(primary === null ? [] : [primary.kind]), ...secondary.map(({ kind }) => kind)];
    for (const kind of kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
};

const countDowngrades = (changes: readonly SummarizedPackageChange[]): number =>
  changes.filter(({ primary }) => primary?.kind === 'VersionBump' && primary.downgrade).length;

/** `3 added, 40 updated (1 downgrade)`; '' where packages are at most rebuilt. */
const formatCounts = (changes: readonly SummarizedPackageChange[]): string => {
  const counts = countKinds(changes);
  const downgrades = countDowngrades(changes);
  return kindWords
    .filter(([kind]) => (counts.get(kind) ?? 0) > 0)
    .map(([kind, words]) => {
      const note =
        kind === 'VersionBump' && downgrades > 0 ? ` (${formatNumberOf(downgrades, 'downgrade')})` : '';
      return `${formatCount(counts.get(kind) ?? 0)} ${words}${note}`;
    })
    .join(', ');
};

/** Rows in the document's order; `listed` counts packages, which may have several rows. */
const listRows = (changes: readonly SummarizedPackageChange[], options: PackageTableOptions) => {
  const rows: string[] = [];
  let listed = 0;
  let left = 0;
  for (const change of changes) {
    if (!isListed(change, options)) continue;
    if (listed >= options.maxPackagesListed) left++;
    else {
      listed++;
      rows.push(...rowsOf(change, options));
    }
  }
  return { rows, left };
};

/** Blocks for one job; none where no package changes. */
export const renderPackageChanges = (job: JobSummary, options: PackageTableOptions): string[] => {
  const { detail, includeRebuildOnly } = options;
  const counts = formatCounts(job.packageChanges);
  const rebuiltOnly = job.packageChanges.filter(({ primary }) => primary?.kind === 'RebuildOnly').length;
  const blocks: string[] = [];
  if (counts !== '' || (includeRebuildOnly && rebuiltOnly > 0)) {
    const heading = `Packages: ${counts === '' ? 'only rebuilds' : counts}`;
    const { rows, left } = detail.packageTable
      ? listRows(job.packageChanges, options)
      : { rows: [], left: 0 };
    if (rows.length === 0) blocks.push(`**${heading}**`);
    else {
      const more = left > 0 ? `\n\n… and ${formatNumberOf(left, 'more package')}.` : '';
      const table = `| Package | Change | |\n|---|---|---|\n${rows.join('\n')}${more}`;
      const open = rows.length <= MAX_OPEN_ROWS ? ' open' : '';
      blocks.push(`<details${open}><summary><b>${heading}</b></summary>\n\n${table}\n\n</details>`);
    }
  }
  if (rebuiltOnly > 0 && detail.rebuildOnlyLine && !includeRebuildOnly) {
    const isOne = rebuiltOnly === 1;
    blocks.push(
      `${formatNumberOf(rebuiltOnly, 'package')} ${isOne ? 'is' : 'are'} only rebuilt, because something below ${isOne ? 'it' : 'them'} changed.`,
    );
  }
  return blocks;
};
