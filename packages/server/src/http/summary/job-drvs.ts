// One row for each derivation of a job: what the change does to it, beside how that ended.
import type { JobSummary } from '@eka-ci/protocol/change-summary';
import type { Difference, JobDrv } from '@eka-ci/protocol/job';
import type { DrvFilter } from './summary-question.ts';

type Outcome = JobSummary['outcomes'][number];
type PackageChange = JobSummary['packageChanges'][number];

const differenceOfChange = ({ primary }: PackageChange): Difference => {
  switch (primary?.kind) {
    case undefined:
      return 'unchanged';
    case 'Added':
      return 'added';
    case 'Removed':
      return 'removed';
    case 'VersionBump':
    case 'Renamed':
    case 'RebuildOnly':
      return 'changed';
    case 'Unevaluable':
      return 'unevaluable';
    case 'Unavailable':
      return 'unavailable';
  }
};

/** Where nobody asked for the changes of packages: what is judged is either new or changed. */
const differenceOfOutcome = ({ kind, base }: Outcome): Difference => {
  if (kind === 'newly-unevaluable' || kind === 'still-unevaluable') return 'unevaluable';
  if (kind === 'unavailable') return 'unavailable';
  return base === 'absent' || base === 'unevaluable' || base === 'unavailable' ? 'added' : 'changed';
};

const rowOfOutcome = (outcome: Outcome, change: PackageChange | undefined): JobDrv => ({
  attr: outcome.attr,
  aliases: outcome.aliases,
  system: outcome.system,
  drvPath: outcome.drvPath,
  difference: change === undefined ? differenceOfOutcome(outcome) : differenceOfChange(change),
  state: outcome.kind,
  change: change?.primary ?? null,
});

const rowOfChange = (change: PackageChange): JobDrv => ({
  attr: change.attr,
  aliases: change.aliases,
  system: change.system,
  drvPath: change.drvPath,
  difference: differenceOfChange(change),
  state: null,
  change: change.primary,
});

const readRows = ({ outcomes, packageChanges }: JobSummary): JobDrv[] => {
  const changes = new Map(packageChanges.map((change) => [change.attr, change]));
  const rows = outcomes.map((outcome) => {
    const change = changes.get(outcome.attr);
    changes.delete(outcome.attr);
    return rowOfOutcome(outcome, change);
  });
  return [...rows, ...[...changes.values()].map(rowOfChange)];
};

/** As long as the summary is kept, so are its rows: a page costs no other reading of it. */
const known = new WeakMap<JobSummary, readonly JobDrv[]>();

/** Worst first, then by attribute; what was not to be judged comes last. */
export const listJobDrvs = (job: JobSummary): readonly JobDrv[] => {
  const rows = known.get(job) ?? readRows(job);
  known.set(job, rows);
  return rows;
};

/** Between the slash that ends the store's folder and the name: 32 characters and a dash. */
const nameStart = 34;

const nameOf = ({ drvPath }: JobDrv): string =>
  drvPath === null ? '' : drvPath.slice(drvPath.lastIndexOf('/') + nameStart, -'.drv'.length);

/** Did not succeed, for a reason that may pass. */
const failedKinds: ReadonlySet<JobDrv['state']> = new Set([
  'newly-failing',
  'failing-base-unknown',
  'timed-out',
  'cancelled',
  'not-built',
  'still-failing',
]);

export const isFailedRow = ({ state }: Pick<JobDrv, 'state'>): boolean => failedKinds.has(state);

export const matchesFilter = (row: JobDrv, filter: DrvFilter): boolean => {
  const { state, difference, q, attrs, failed } = filter;
  if (failed === true && !isFailedRow(row)) return false;
  if (attrs !== undefined && ![row.attr, ...row.aliases].some((name) => attrs.includes(name))) return false;
  if (state !== undefined && row.state !== state) return false;
  if (difference !== undefined && row.difference !== difference) return false;
  if (q === undefined) return true;
  const wanted = q.toLowerCase();
  return [row.attr, ...row.aliases, nameOf(row)].some((text) => text.toLowerCase().includes(wanted));
};
