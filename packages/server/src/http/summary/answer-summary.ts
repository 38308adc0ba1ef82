// Answers questions about one summary. Pure, and slow for a large one: it runs in a thread of its own.
import { renderMarkdown } from '@eka-ci/core/change-summary/markdown';
import type { ChangeSummary, JobSummary } from '@eka-ci/protocol/change-summary';
import { listJobDrvs, matchesFilter } from './job-drvs.ts';
import type { JobHead, SummaryAnswer, SummaryPart, SummaryQuestion } from './summary-question.ts';

const encoder = new TextEncoder();

const headOf = (job: JobSummary): JobHead => {
  const { packageChanges: _, outcomes: __, sizes: ___, rebuildImpact, ...head } = job;
  return { ...head, totalRebuilds: rebuildImpact?.totalRebuilds ?? null };
};

const namesOf = ({ jobs }: ChangeSummary): string[] => jobs.map(({ job }) => job);

/** The summary of one job alone, with that job's conclusion. */
const ofJob = (summary: ChangeSummary, name: string): ChangeSummary | null => {
  const job = summary.jobs.find((candidate) => candidate.job === name);
  return job === undefined
    ? null
    : { ...summary, conclusion: job.conclusion, headline: job.headline, jobs: [job], checks: [] };
};

const textOf = (summary: ChangeSummary, part: SummaryPart): string => {
  const { headSha, baseSha } = summary.change;
  switch (part) {
    case 'summary':
      return JSON.stringify(summary);
    case 'markdown':
      return renderMarkdown(summary, { pageUrl: null });
    case 'package-changes': {
      const jobs = summary.jobs.map(({ job, packageChanges }) => ({ job, packageChanges }));
      return JSON.stringify({ headSha, baseSha, jobs });
    }
    case 'rebuild-impact': {
      const jobs = summary.jobs.map(({ job, rebuildImpact }) => ({ job, rebuildImpact }));
      return JSON.stringify({ headSha, baseSha, jobs });
    }
  }
};

const answerDrvs = (
  job: JobSummary,
  { filter, start, limit }: Extract<SummaryQuestion, { kind: 'drvs' }>,
): SummaryAnswer => {
  const matching = listJobDrvs(job).filter((row) => matchesFilter(row, filter));
  return { kind: 'drvs', total: matching.length, rows: matching.slice(start, start + limit) };
};

export const answerSummary = (summary: ChangeSummary, question: SummaryQuestion): SummaryAnswer => {
  switch (question.kind) {
    case 'document': {
      const asked = question.job === null ? summary : ofJob(summary, question.job);
      if (asked === null) return { kind: 'no-job', names: namesOf(summary) };
      return { kind: 'document', bytes: encoder.encode(textOf(asked, question.part)) };
    }
    case 'jobs': {
      const { change, conclusion, headline, jobs } = summary;
      return { kind: 'jobs', summary: { change, conclusion, headline }, jobs: jobs.map(headOf) };
    }
    case 'job':
    case 'drvs': {
      const job = summary.jobs[question.index];
      if (job === undefined) return { kind: 'no-job', names: namesOf(summary) };
      if (question.kind === 'drvs') return answerDrvs(job, question);
      return { kind: 'job', job: headOf(job), drvs: listJobDrvs(job).length };
    }
  }
};
