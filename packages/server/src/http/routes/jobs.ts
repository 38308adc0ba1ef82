// The jobs of a judged change: how each ended, its derivations, and the gates that a forge would show.
import type { CommitSha, DrvPath } from '@eka-ci/core/ids';
import { CommitParams } from '@eka-ci/protocol/commit';
import { CheckRuns, CommitJobs, Job, JobDrvPage, JobDrvsQuery, JobParams } from '@eka-ci/protocol/job';
import { z } from 'zod';
import type { ChangeListing, StoredChange } from '../../database/database.ts';
import { jobIdOf, listCheckGates, listCheckRuns } from '../check-runs.ts';
import { HttpError } from '../errors.ts';
import { nextCursorOf, offsetOf } from '../offset-page.ts';
import { type ApiApp, answers, badRequest, notFound, type RouteDeps } from '../route.ts';
import { type Answered, askSummary, findChanges } from '../stored-summary.ts';
import type { JobHead, SummaryQuestion } from '../summary/summary-question.ts';

const errors = { ...badRequest, ...notFound };

const CommitJobsQuery = z.strictObject({ base_sha: CommitParams.shape.sha.optional() });

interface AskedCommit {
  readonly params: z.infer<typeof CommitParams>;
  readonly query: z.infer<typeof CommitJobsQuery>;
}

/** Both were matched against the form of an object name. */
const judgedOf = ({ params, query }: AskedCommit) => ({
  head: params.sha as CommitSha,
  base: query.base_sha === undefined ? null : (query.base_sha as CommitSha),
});

const toWire = (changeId: string, job: JobHead, index: number) => {
  const { notices: _, ...head } = job;
  return { id: jobIdOf(changeId, index), changeId, ...head };
};

const addOfCommit = (app: ApiApp, deps: RouteDeps): void => {
  const asked = { tags: ['commits'], params: CommitParams, querystring: CommitJobsQuery };
  app.get(
    '/v1/commits/:sha/jobs',
    {
      schema: {
        operationId: 'listCommitJobs',
        summary: 'The jobs of its newest judgement',
        ...asked,
        response: { ...answers('In the order of the configuration', CommitJobs), ...errors },
      },
    },
    async (request) => {
      const { change, answer } = await askSummary(deps, judgedOf(request), { kind: 'jobs' });
      const jobs = answer.kind === 'jobs' ? answer.jobs : [];
      const wire = jobs.map((job, index) => toWire(change.id, job, index));
      return { changeId: change.id, headSha: change.head, baseSha: change.base, jobs: wire };
    },
  );
  app.get(
    '/v1/commits/:sha/check_runs',
    {
      schema: {
        operationId: 'listCheckRuns',
        summary:
          'What a forge shows beside the commit: a gate for each job, the summary, and a gate for each check',
        ...asked,
        response: { ...answers('The gates', CheckRuns), ...errors },
      },
    },
    async (request) => {
      const [change] = await findChanges(deps.database.changes, judgedOf(request));
      const answer = await deps.summaries.ask(change, { kind: 'jobs' });
      const checks = listCheckGates(await deps.database.checkRuns.ofChange(change.id));
      const checkRuns = [...listCheckRuns(change, answer.kind === 'jobs' ? answer : null), ...checks];
      return { changeId: change.id, headSha: change.head, checkRuns };
    },
  );
};

type FoundChange = ChangeListing & Partial<StoredChange>;

const mostRemembered = 1000;

/**
 * Finds changes by id. The row of one may hold a summary of some MiB, which is not read again for each page: under its
 * head it is listed without.
 */
const createChangeLookup = ({ database }: RouteDeps): ((id: string) => Promise<FoundChange | null>) => {
  const heads = new Map<string, CommitSha>();
  return async (id) => {
    const head = heads.get(id);
    const listed = head === undefined ? [] : await database.changes.findByHead(head);
    const found = listed.find((change) => change.id === id) ?? (await database.changes.find(id));
    if (found === null) return null;
    for (const oldest of heads.keys()) {
      if (heads.size < mostRemembered) break;
      heads.delete(oldest);
    }
    heads.set(id, found.head);
    return found;
  };
};

interface FoundJob {
  readonly change: FoundChange;
  readonly index: number;
  readonly answer: Answered;
}

const createJobQuestions = (deps: RouteDeps) => {
  const findChange = createChangeLookup(deps);
  const missing = (): HttpError =>
    new HttpError(
      'JUDGED_JOB_NOT_FOUND',
      'there is no such job: /v1/commits/{sha}/jobs lists those of a commit',
    );
  return async (id: string, question: (index: number) => SummaryQuestion): Promise<FoundJob> => {
    const dot = id.lastIndexOf('.');
    const index = Number(id.slice(dot + 1));
    const change = await findChange(id.slice(0, dot));
    if (change === null) throw missing();
    const answer = await deps.summaries.ask(change, question(index));
    if (answer.kind === 'no-summary' || answer.kind === 'no-job') throw missing();
    return { change, index, answer };
  };
};

const addDrvs = (app: ApiApp, deps: RouteDeps, ask: ReturnType<typeof createJobQuestions>): void => {
  app.get(
    '/v1/jobs/:id/drvs',
    {
      schema: {
        operationId: 'listJobDerivations',
        summary: 'What the job says of each derivation',
        description: 'Pages are of one judgement: where it is judged again meanwhile, start again.',
        tags: ['jobs'],
        params: JobParams,
        querystring: JobDrvsQuery,
        response: { ...answers('One page, worst first', JobDrvPage), ...errors },
      },
    },
    async ({ params, query }) => {
      const { limit, cursor, ...filter } = query;
      const start = offsetOf(cursor);
      const { answer } = await ask(params.id, (index) => ({ kind: 'drvs', index, filter, start, limit }));
      const { rows, total } = answer.kind === 'drvs' ? answer : { rows: [], total: 0 };
      // Paths of a summary are those of evaluated derivations: whoever wrote it had them parsed.
      const paths = rows.flatMap(({ drvPath }) => (drvPath === null ? [] : [drvPath as DrvPath]));
      const builds = await deps.database.builds.statesOf(paths);
      const stateOf = (path: string | null) => (path === null ? null : builds.get(path as DrvPath)?.state);
      const drvs = rows.map((row) => ({ ...row, build: stateOf(row.drvPath) ?? null }));
      return { total, drvs, nextCursor: nextCursorOf(start + limit, total) };
    },
  );
};

export const addJobRoutes = (app: ApiApp, deps: RouteDeps): void => {
  addOfCommit(app, deps);
  const ask = createJobQuestions(deps);
  app.get(
    '/v1/jobs/:id',
    {
      schema: {
        operationId: 'getJob',
        summary: 'One job of a judged change',
        tags: ['jobs'],
        params: JobParams,
        response: { ...answers('The job', Job), ...errors },
      },
    },
    async ({ params }) => {
      const { change, index, answer } = await ask(params.id, (at) => ({ kind: 'job', index: at }));
      if (answer.kind !== 'job') throw new Error(`a job was asked for, and answered with ${answer.kind}`);
      const { job, drvs } = answer;
      const { repository, head: headSha, base: baseSha } = change;
      const { notices } = job;
      return { ...toWire(change.id, job, index), repository, headSha, baseSha, notices, drvs };
    },
  );
  addDrvs(app, deps, ask);
};
