// A judged commit as a forge would show it: a gate for each job and each check, and one for the summary. Pure.

import { conclusionOfCheck } from '@eka-ci/core/check-outcome';
import type { CheckRun } from '@eka-ci/protocol/job';
import type { ChangeListing, StoredCheckRun } from '../database/database.ts';
import type { JobHead, SummaryHead } from './summary/summary-question.ts';

type Progress = Pick<CheckRun, 'status' | 'conclusion' | 'completedAtMs'>;

export const jobIdOf = (changeId: string, index: number): string => `${changeId}.${index}`;

const conclusionOf = (conclusion: string): CheckRun['conclusion'] => {
  switch (conclusion) {
    case 'success':
    case 'failure':
    case 'cancelled':
      return conclusion;
    case 'timed-out':
      return 'timed_out';
    case 'action-required':
      return 'action_required';
    default:
      return 'neutral';
  }
};

/** When it ended; null where the change's state changed since, so that nobody knows. */
const endOf = ({ state, updatedAtMs }: ChangeListing): number | null =>
  state === 'judged' || state === 'failed' ? updatedAtMs : null;

const completed = (change: ChangeListing, conclusion: CheckRun['conclusion']): Progress => ({
  status: 'completed',
  conclusion,
  completedAtMs: endOf(change),
});

/** What is judged again is not concluded, whatever was concluded of it before. */
const progressOf = (change: ChangeListing, conclusion: string): Progress => {
  if (change.state === 'awaiting-approval') return completed(change, conclusionOf('action-required'));
  if (change.state === 'queued') return { status: 'queued', conclusion: null, completedAtMs: null };
  if (change.state === 'judging' || conclusion === 'pending') {
    return { status: 'in_progress', conclusion: null, completedAtMs: null };
  }
  return completed(change, conclusionOf(conclusion));
};

const titleOf = (change: ChangeListing): string => {
  switch (change.state) {
    case 'awaiting-approval':
      return 'Waits for approval: nothing of it is evaluated or built before.';
    case 'queued':
      return 'Waits to be judged.';
    case 'judging':
      return 'Is being judged.';
    case 'judged':
    case 'failed':
      return change.fault ?? 'It could not be judged.';
    case 'superseded':
      return 'Not judged: its branch has a newer head.';
    case 'closed':
      return 'Not judged: its branch is gone.';
  }
};

const summaryName = 'EkaCI: Change Summary';

/** Each tells of itself, whatever the change is at. */
const progressOfCheck = ({ state, endedAtMs: completedAtMs }: StoredCheckRun): Progress => {
  switch (state) {
    case 'queued':
      return { status: 'queued', conclusion: null, completedAtMs: null };
    case 'running':
      return { status: 'in_progress', conclusion: null, completedAtMs: null };
    case 'timed-out':
      return { status: 'completed', conclusion: 'timed_out', completedAtMs };
    case 'passed':
    case 'failed':
    case 'refused':
    case 'cancelled':
    case 'interrupted':
      return { status: 'completed', conclusion: conclusionOf(conclusionOfCheck(state)), completedAtMs };
  }
};

/** @param runs of each check of the change the newest */
export const listCheckGates = (runs: readonly StoredCheckRun[]): CheckRun[] =>
  runs.map((run) => {
    const detailsPath = `/v1/checks/${run.id}`;
    const title = run.state === 'passed' ? 'Passed' : (run.reason ?? 'Not at its end');
    return { name: `EkaCI check: ${run.name}`, jobId: null, detailsPath, title, ...progressOfCheck(run) };
  });

/** @param judged null where there is no summary */
export const listCheckRuns = (
  change: ChangeListing,
  judged: { readonly summary: SummaryHead; readonly jobs: readonly JobHead[] } | null,
): CheckRun[] => {
  const detailsPath = `/v1/commits/${change.head}/change-summary`;
  const whole = { name: summaryName, jobId: null, detailsPath };
  if (judged === null || change.state === 'failed') {
    const wasGivenUp = change.state === 'superseded' || change.state === 'closed';
    const conclusion = change.conclusion ?? (wasGivenUp ? 'cancelled' : 'failure');
    return [{ ...whole, ...progressOf(change, conclusion), title: titleOf(change) }];
  }
  // What was concluded before is not said of what is judged again.
  const title = (headline: string) =>
    change.state === 'queued' || change.state === 'judging' ? titleOf(change) : headline;
  const jobs = judged.jobs.map(({ job, conclusion, headline }, index): CheckRun => {
    const jobId = jobIdOf(change.id, index);
    const facts = { name: `EkaCI: ${job}`, jobId, title: title(headline), detailsPath: `/v1/jobs/${jobId}` };
    return { ...facts, ...progressOf(change, conclusion) };
  });
  // It informs: what fails is the gate of a job.
  return [...jobs, { ...whole, ...progressOf(change, 'neutral'), title: title(judged.summary.headline) }];
};
