// How much of a summary is shown: the steps by which it is made smaller, least loss first.
import type { ChangeSummary, SummarizedPackageChange } from './document.ts';

export interface Detail {
  readonly maintainerRows: boolean;
  readonly licenseRows: boolean;
  readonly rebuildOnlyLine: boolean;
  /** False: packages are counted, not listed. */
  readonly packageTable: boolean;
  /** Of one failure. */
  readonly logLines: number;
  /** Of all failures together. */
  readonly logBytes: number;
  /** Failures told one by one, for each kind. */
  readonly failures: number;
  /** Entries of any other list. */
  readonly listed: number;
  /** False: one line a job. */
  readonly sections: boolean;
}

export interface DetailStep {
  /** What is left out from here on, as the reader is told. */
  readonly dropped: string | null;
  /** False: the summary has none of it, and nothing needs to be said. */
  readonly isPresent: (summary: ChangeSummary) => boolean;
  readonly detail: Detail;
}

const full: Detail = {
  maintainerRows: true,
  licenseRows: true,
  rebuildOnlyLine: true,
  packageTable: true,
  logLines: 20,
  logBytes: 24_000,
  failures: 25,
  listed: 20,
  sections: true,
};
const withoutMaintainers: Detail = { ...full, maintainerRows: false };
const withoutLicenses: Detail = { ...withoutMaintainers, licenseRows: false };
const withoutRebuildOnly: Detail = { ...withoutLicenses, rebuildOnlyLine: false };
const counted: Detail = { ...withoutRebuildOnly, packageTable: false };
const shortLogs: Detail = { ...counted, logLines: 5, logBytes: 6_000 };
const withoutLogs: Detail = { ...counted, logLines: 0, logBytes: 0, failures: 20, listed: 10 };
const shortLists: Detail = { ...withoutLogs, failures: 5, listed: 3 };

/** One line a job. */
export const leastDetail: Detail = { ...shortLists, sections: false };

const hasChange =
  (matches: (change: SummarizedPackageChange) => boolean) =>
  (summary: ChangeSummary): boolean =>
    summary.jobs.some((job) => job.packageChanges.some(matches));

const hasSecondary = (kind: string) =>
  hasChange(({ secondary }) => secondary.some((change) => change.kind === kind));

const hasLog = (summary: ChangeSummary): boolean =>
  summary.jobs.some((job) =>
    job.outcomes.some(({ logTail, evaluation }) => logTail.length > 0 || evaluation !== null),
  );

const always = (): boolean => true;

/** From everything down to one line a job. */
export const detailSteps: readonly DetailStep[] = [
  { dropped: null, isPresent: always, detail: full },
  { dropped: 'maintainer changes', isPresent: hasSecondary('MaintainerChange'), detail: withoutMaintainers },
  { dropped: 'license changes', isPresent: hasSecondary('LicenseChange'), detail: withoutLicenses },
  {
    dropped: 'the count of packages that are only rebuilt',
    isPresent: hasChange(({ primary }) => primary?.kind === 'RebuildOnly'),
    detail: withoutRebuildOnly,
  },
  { dropped: 'the list of changed packages', isPresent: hasChange(always), detail: counted },
  { dropped: 'most log lines', isPresent: hasLog, detail: shortLogs },
  { dropped: 'all log lines', isPresent: hasLog, detail: withoutLogs },
  { dropped: 'most of every list', isPresent: always, detail: shortLists },
  {
    dropped: 'everything but the verdict of each job',
    isPresent: always,
    detail: leastDetail,
  },
];
