// Change summaries as the database keeps them, and which of them a commit's is.
import type { CommitSha } from '@eka-ci/core/ids';
import { ChangeSummary } from '@eka-ci/protocol/change-summary';
import type { Database, StoredChange } from '../database/database.ts';
import { HttpError } from './errors.ts';

/** Null where there is none, or one of a version that is no longer known. */
export const readSummary = ({ summaryJson }: StoredChange): ChangeSummary | null => {
  if (summaryJson === null) return null;
  return ChangeSummary.safeParse(JSON.parse(summaryJson)).data ?? null;
};

export interface CommitSummary {
  readonly change: StoredChange;
  readonly summary: ChangeSummary;
}

/** Of the changes with one head, as many as are looked at for a summary. */
const maxChangesRead = 20;

/**
 * The newest summary of a change with that head.
 * @param base only of a judgement against that base; null takes any
 * @throws HttpError COMMIT_NOT_FOUND, SUMMARY_NOT_FOUND
 */
export const findSummary = async (
  changes: Database['changes'],
  head: CommitSha,
  base: CommitSha | null,
): Promise<CommitSummary> => {
  const all = await changes.findByHead(head);
  if (all.length === 0) {
    throw new HttpError(
      'COMMIT_NOT_FOUND',
      'this commit is the head of no change: give the full id of a head',
    );
  }
  const wanted = base === null ? all : all.filter((change) => change.base === base);
  for (const { id } of wanted.slice(0, maxChangesRead)) {
    const change = await changes.find(id);
    const summary = change === null ? null : readSummary(change);
    if (change !== null && summary !== null) return { change, summary };
  }
  const newest = wanted[0];
  throw new HttpError(
    'SUMMARY_NOT_FOUND',
    newest === undefined
      ? 'this commit was not judged against that base: leave base_sha out for the newest judgement'
      : `this commit has no summary, its change is ${newest.state}: ask again once it is judged`,
  );
};

/**
 * The summary of one job alone, with that job's conclusion.
 * @throws HttpError SUMMARY_JOB_NOT_FOUND
 */
export const ofJob = (summary: ChangeSummary, name: string): ChangeSummary => {
  const job = summary.jobs.find((candidate) => candidate.job === name);
  if (job === undefined) {
    const names = summary.jobs.map((candidate) => candidate.job).join(', ');
    throw new HttpError('SUMMARY_JOB_NOT_FOUND', `the summary has no such job: it has ${names || 'none'}`);
  }
  return { ...summary, conclusion: job.conclusion, headline: job.headline, jobs: [job] };
};
