// Holds a verdict against what was planted in the demo's branch, row by row.
import type { ChangeSummary } from '@eka-ci/protocol/change-summary';
import type { ExpectedVerdict } from './repository.ts';

type JobSummary = ChangeSummary['jobs'][number];

/** What a summary says, in the words of the expectation. */
const verdictOf = (summary: ChangeSummary, job: JobSummary): ExpectedVerdict => {
  const changes = job.packageChanges;
  const attrs = (kind: string): string[] =>
    changes.filter((change) => change.primary?.kind === kind).map((change) => change.attr);
  const outcomes = (kind: string): string[] =>
    job.outcomes.filter((outcome) => outcome.kind === kind).map((outcome) => outcome.attr);
  return {
    conclusion: summary.conclusion === 'success' ? 'success' : 'failure',
    added: attrs('Added'),
    bumped: Object.fromEntries(
      changes.flatMap(({ attr, primary }) =>
        primary?.kind === 'VersionBump' ? [[attr, [primary.old ?? '', primary.new ?? '']]] : [],
      ),
    ),
    rebuilt: attrs('RebuildOnly'),
    licenseChanged: changes
      .filter((change) => change.secondary.some(({ kind }) => kind === 'LicenseChange'))
      .map((change) => change.attr),
    newlyFailing: outcomes('newly-failing').toSorted(),
    stillFailing: outcomes('still-failing').toSorted(),
  };
};

/** One sentence for each point where the verdict is not the expected one; none when all is as planted. */
export const compareVerdict = (summary: ChangeSummary, expected: ExpectedVerdict): readonly string[] => {
  const job = summary.jobs.find(({ job: name }) => name === 'packages');
  if (job === undefined) return ['the job "packages" was not judged'];
  const actual = verdictOf(summary, job);
  return (Object.keys(expected) as (keyof ExpectedVerdict)[])
    .filter((point) => JSON.stringify(actual[point]) !== JSON.stringify(expected[point]))
    .map(
      (point) =>
        `${point}: expected ${JSON.stringify(expected[point])}, judged ${JSON.stringify(actual[point])}`,
    );
};
