// The change summary for a terminal: the verdict first, then what it rests on.
import type { ChangeSummary } from '@eka-ci/protocol/change-summary';
import { formatDuration, plural, printable, shortenStorePaths } from './progress/progress-view.ts';

type JobSummary = ChangeSummary['jobs'][number];
type Outcome = JobSummary['outcomes'][number];
type PackageRow = JobSummary['packageChanges'][number];
type Paint = (style: 'bold' | 'dim' | 'green' | 'red' | 'yellow', text: string) => string;

export interface TextOptions {
  readonly colours: boolean;
  readonly columns: number;
}

const codes = { bold: 1, dim: 2, green: 32, red: 31, yellow: 33 } as const;

const painter =
  (colours: boolean): Paint =>
  (style, text) =>
    colours ? `\u001b[${codes[style]}m${text}\u001b[0m` : text;

const mostRows = 100;
const mostLogLines = 8;

const marks: Record<ChangeSummary['conclusion'], readonly [mark: string, style: 'green' | 'red' | 'yellow']> =
  {
    success: ['✔', 'green'],
    failure: ['✘', 'red'],
    cancelled: ['■', 'yellow'],
    'timed-out': ['■', 'yellow'],
    'action-required': ['✋', 'yellow'],
    neutral: ['•', 'yellow'],
    pending: ['…', 'yellow'],
  };

const versionsOf = (row: PackageRow): string => {
  const change = row.primary;
  if (change === null) return '';
  switch (change.kind) {
    case 'Added':
    case 'Removed':
    case 'RebuildOnly':
      return change.version ?? '';
    case 'VersionBump':
      return `${change.old ?? '(none)'} → ${change.new ?? '(none)'}${change.downgrade ? ' (downgrade)' : ''}`;
    case 'Renamed':
      return `${change.old.pname} → ${change.new.pname}`;
    case 'Unevaluable':
      return 'no longer evaluates';
    case 'Unavailable':
      return change.reasons.join(', ');
  }
};

const signOf = (row: PackageRow): string => {
  switch (row.primary?.kind) {
    case 'Added':
      return '+';
    case 'Removed':
      return '-';
    case 'Unevaluable':
    case 'Unavailable':
      return '!';
    case 'VersionBump':
    case 'Renamed':
    case 'RebuildOnly':
    case undefined:
      return '~';
  }
};

const secondaryOf = (row: PackageRow): string[] =>
  row.secondary.map((change) =>
    change.kind === 'LicenseChange'
      ? `licence ${change.old.join(', ') || 'none'} → ${change.new.join(', ') || 'none'}`
      : `maintainers ${[...change.added.map((name) => `+${name}`), ...change.removed.map((name) => `-${name}`)].join(' ')}`,
  );

const packageLines = (job: JobSummary): string[] => {
  const rebuiltOnly = job.packageChanges.filter(
    (row) => row.primary?.kind === 'RebuildOnly' && row.secondary.length === 0,
  );
  const shown = job.packageChanges.filter((row) => !rebuiltOnly.includes(row));
  const width = Math.min(40, Math.max(0, ...shown.map((row) => row.attr.length)));
  const lines = shown.slice(0, mostRows).map((row) => {
    const said = [versionsOf(row), ...secondaryOf(row)].filter((part) => part !== '').join('; ');
    return printable(`  ${signOf(row)} ${row.attr.padEnd(width)}  ${said}`);
  });
  if (shown.length > mostRows) lines.push(`  and ${shown.length - mostRows} more`);
  if (rebuiltOnly.length > 0) {
    const names = rebuiltOnly.slice(0, 12).map((row) => printable(row.attr));
    const more = rebuiltOnly.length > names.length ? ` and ${rebuiltOnly.length - names.length} more` : '';
    lines.push(`  ↻ ${plural(rebuiltOnly.length, 'package')} rebuilt only: ${names.join(', ')}${more}`);
  }
  return lines;
};

const sections: readonly (readonly [Outcome['kind'], string])[] = [
  ['newly-failing', 'Newly failing'],
  ['newly-unevaluable', 'No longer evaluates'],
  ['failing-base-unknown', 'Failing, base unknown'],
  ['timed-out', 'Timed out'],
  ['cancelled', 'Cancelled'],
  ['not-built', 'Not built'],
  ['flaky', 'Flaky'],
  ['still-failing', 'Still failing, as on the base'],
  ['still-unevaluable', 'Still does not evaluate, as on the base'],
  ['newly-succeeding', 'Newly succeeding'],
];

const reasonOf = (outcome: Outcome): string => {
  if (outcome.evaluation !== null) {
    const { message, position } = outcome.evaluation;
    const place = position === null ? '' : ` (${position.file}:${position.line}:${position.column})`;
    return `${message.split('\n')[0] ?? ''}${place}`;
  }
  const { culprit } = outcome;
  if (culprit !== null && culprit.drvPath !== outcome.drvPath) return `because ${culprit.name} failed`;
  return shortenStorePaths(outcome.reason ?? '');
};

const outcomeLines = (outcome: Outcome, seenLogs: Set<string>, paint: Paint): string[] => {
  const names = [outcome.attr, ...outcome.aliases].join(', ');
  const lines = [printable(`    ${names}  ${reasonOf(outcome)}`).trimEnd()];
  if (outcome.note !== null) lines.push(printable(`      ${outcome.note}`));
  const culprit = outcome.culprit?.drvPath ?? '';
  if (outcome.logTail.length > 0 && !seenLogs.has(culprit)) {
    seenLogs.add(culprit);
    lines.push(
      ...outcome.logTail.slice(-mostLogLines).map((line) => paint('dim', `      | ${printable(line)}`)),
    );
  }
  return lines;
};

const outcomeSections = (job: JobSummary, paint: Paint): string[] => {
  const seenLogs = new Set<string>();
  return sections.flatMap(([kind, title]) => {
    const outcomes = job.outcomes.filter((outcome) => outcome.kind === kind);
    if (outcomes.length === 0) return [];
    const bad = kind === 'newly-failing' || kind === 'newly-unevaluable';
    const heading = paint(bad ? 'red' : 'bold', `  ${title} (${outcomes.length})`);
    // Without a build every package is "not built": one line says it all.
    if (kind === 'not-built' && new Set(outcomes.map((outcome) => outcome.reason)).size === 1) {
      return [`${heading}: ${printable(outcomes[0]?.reason ?? '')}`];
    }
    const shown = outcomes.slice(0, mostRows).flatMap((outcome) => outcomeLines(outcome, seenLogs, paint));
    return [
      heading,
      ...shown,
      ...(outcomes.length > mostRows ? [`    and ${outcomes.length - mostRows} more`] : []),
    ];
  });
};

const impactLines = (job: JobSummary): string[] => {
  const impact = job.rebuildImpact;
  if (impact === null) return [];
  if (impact.totalRebuilds === 0) return ['  Rebuilds nothing.'];
  const systems = impact.systems.map(({ system, rebuilds }) => `${system} ${rebuilds}`).join(', ');
  const lines = [
    `  Rebuilds ${plural(impact.totalRebuilds, 'derivation')}${systems === '' ? '' : ` (packages: ${systems})`}`,
  ];
  if (impact.editedAttrs.length > 0) {
    lines.push(printable(`  The edit itself: ${impact.editedAttrs.slice(0, 8).join(', ')}`));
  }
  const top = impact.topBlastRadius.map(({ attr, name, dependents }) => `${attr ?? name} (${dependents})`);
  if (top.length > 0) lines.push(printable(`  Reaches furthest: ${top.join(', ')}`));
  return lines;
};

const jobLines = (job: JobSummary, paint: Paint, isOnly: boolean): string[] => {
  const [mark, style] = marks[job.conclusion];
  const name = `${paint(style, mark)} ${paint('bold', printable(job.job))}`;
  // The headline of a lone job is the change's, said above.
  const lines = [isOnly ? name : `${name}: ${printable(job.headline)}`];
  if (job.notJudged !== null) lines.push(printable(`  ${job.notJudged}`));
  lines.push(...packageLines(job), ...outcomeSections(job, paint), ...impactLines(job));
  for (const notice of job.notices)
    lines.push(paint('dim', printable(`  ${notice.level}: ${notice.message}`)));
  return lines;
};

const checkLines = (summary: ChangeSummary, paint: Paint): string[] => {
  if (summary.checks.length === 0) return [];
  const lines = summary.checks.flatMap((check) => {
    const isWell = check.outcome === 'passed';
    const took = check.durationMs === null ? '' : ` in ${formatDuration(check.durationMs)}`;
    const when = check.kept ? ', run before' : took;
    const why = check.reason === null ? '' : `: ${printable(shortenStorePaths(check.reason))}`;
    const mark = paint(isWell ? 'green' : 'red', isWell ? '✔' : '✘');
    const output = isWell ? [] : check.outputTail.slice(-mostLogLines);
    return [
      `  ${mark} ${printable(check.name)}  ${check.outcome}${when}${why}`,
      ...output.map((line) => paint('dim', `      | ${printable(line)}`)),
    ];
  });
  return ['', paint('bold', 'Checks'), ...lines];
};

/** Ends with a line feed. */
export const summaryText = (summary: ChangeSummary, options: TextOptions): string => {
  const paint = painter(options.colours);
  const [mark, style] = marks[summary.conclusion];
  const lines = [paint(style, `${mark} ${printable(summary.headline)}`)];
  for (const notice of summary.notices) lines.push(printable(`${notice.level}: ${notice.message}`));
  for (const job of summary.jobs) lines.push('', ...jobLines(job, paint, summary.jobs.length === 1));
  lines.push(...checkLines(summary, paint));
  return `${lines.join('\n')}\n`;
};
