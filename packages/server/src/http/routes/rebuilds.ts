// Failures that are not to be believed any more: they are cleared, and the changes that showed them are judged again.
import type { DrvPath } from '@eka-ci/core/ids';
import { ChangeParams } from '@eka-ci/protocol/change';
import { DrvParams } from '@eka-ci/protocol/derivation';
import { type JobDrv, JobParams } from '@eka-ci/protocol/job';
import { Rebuild, RebuildRequest } from '@eka-ci/protocol/rebuild';
import { ReviewParams } from '@eka-ci/protocol/submission';
import type { FailuresToClear, StoredChange } from '../../database/database.ts';
import { changeOnWire } from '../../pipeline/change-on-wire.ts';
import { parseDrvParam } from '../drv-param.ts';
import { HttpError } from '../errors.ts';
import { findChange } from '../find-change.ts';
import { requireOperator } from '../operator.ts';
import { type ApiApp, answers, badRequest, conflict, forbidden, notFound, type RouteDeps } from '../route.ts';
import { isFailedRow } from '../summary/job-drvs.ts';
import type { DrvFilter } from '../summary/summary-question.ts';

const forOperators = 'What succeeded is not built again. For operators: over the unix socket.';
const response = {
  ...answers('What was cleared, and what is judged again', Rebuild),
  ...badRequest,
  ...forbidden,
  ...notFound,
  ...conflict,
};

/** In one transaction, so that no crash leaves a failure cleared that nobody tries again. */
const clear = async (
  deps: RouteDeps,
  subject: string,
  which: Omit<FailuresToClear, 'atMs'>,
): Promise<Rebuild> => {
  const { cleared, changes } = await deps.database.changes.clearFailures({ ...which, atMs: deps.clock() });
  const effective = cleared > 0 || changes.length > 0;
  deps.actions.audit({ action: 'rebuild', subject, effective });
  if (effective) deps.actions.wake();
  return { cleared, changes: changes.map(changeOnWire) };
};

const rowsAtOnce = 500;

type JobRow = Pick<JobDrv, 'drvPath' | 'attr' | 'aliases' | 'state'>;

/** Null where the summary has no such job, or there is none. */
const findRows = async (
  { summaries }: RouteDeps,
  change: StoredChange,
  { index, filter }: { readonly index: number; readonly filter: DrvFilter },
): Promise<JobRow[] | null> => {
  const rows: JobRow[] = [];
  for (let start = 0; ; start += rowsAtOnce) {
    const answer = await summaries.ask(change, { kind: 'drvs', index, filter, start, limit: rowsAtOnce });
    if (answer.kind !== 'drvs') return null;
    rows.push(...answer.rows);
    if (start + rowsAtOnce >= answer.total) return rows;
  }
};

const requireAttrs = (attrs: readonly string[], rows: readonly JobRow[]): void => {
  const known = new Set(rows.flatMap(({ attr, aliases }) => [attr, ...aliases]));
  const missing = attrs.filter((attr) => !known.has(attr));
  if (missing.length === 0) return;
  const few = missing.slice(0, 5).join(', ');
  throw new HttpError(
    'ATTRIBUTE_NOT_FOUND',
    `nothing of this name was judged: ${few}${missing.length > 5 ? ', …' : ''}; /v1/jobs/{id}/drvs lists what was`,
  );
};

/** Paths of a summary are those of evaluated derivations: whoever wrote it had them parsed. */
const drvsOf = (rows: readonly JobRow[]): DrvPath[] =>
  rows.flatMap(({ drvPath }) => (drvPath === null ? [] : [drvPath as DrvPath]));

const refuseUnjudged = ({ state, summaryJson }: StoredChange): void => {
  if (state === 'superseded' || state === 'closed') {
    throw new HttpError('CHANGE_NOT_READY', `it is ${state}: what is not wanted any more is not judged`);
  }
  if (summaryJson !== null) return;
  throw new HttpError('CHANGE_NOT_READY', `it is ${state}: what fails of it is known when it is judged`);
};

interface OfChange {
  readonly change: StoredChange;
  /** Its jobs by their position. */
  readonly jobs: readonly number[];
  readonly asked: RebuildRequest;
}

const rebuildOf = async (deps: RouteDeps, { change, jobs, asked }: OfChange): Promise<Rebuild> => {
  const attrs = 'attrs' in asked ? asked.attrs : undefined;
  const filter: DrvFilter = attrs === undefined ? { failed: true } : { attrs };
  const rows: JobRow[] = [];
  for (const index of jobs) rows.push(...((await findRows(deps, change, { index, filter })) ?? []));
  if (attrs !== undefined) requireAttrs(attrs, rows);
  const subject = `failures of ${change.repository} ${change.number} (${change.id})`;
  const failed = rows.filter(isFailedRow);
  // Where another change has built it since, nothing is left to clear, and still it is to be judged again.
  return clear(deps, subject, { drvs: drvsOf(failed), ...(failed.length > 0 && { askedOf: change.id }) });
};

const jobsOf = async ({ summaries }: RouteDeps, change: StoredChange): Promise<number[]> => {
  const answer = await summaries.ask(change, { kind: 'jobs' });
  return answer.kind === 'jobs' ? answer.jobs.map((_, index) => index) : [];
};

const rebuildChange = async (
  deps: RouteDeps,
  change: StoredChange,
  asked: RebuildRequest,
): Promise<Rebuild> => {
  refuseUnjudged(change);
  return rebuildOf(deps, { change, jobs: await jobsOf(deps, change), asked });
};

const rebuildJob = async (deps: RouteDeps, id: string, asked: RebuildRequest): Promise<Rebuild> => {
  const dot = id.lastIndexOf('.');
  const index = Number(id.slice(dot + 1));
  const change = await deps.database.changes.find(id.slice(0, dot));
  if (change === null || !(await jobsOf(deps, change)).includes(index)) {
    throw new HttpError(
      'JUDGED_JOB_NOT_FOUND',
      'there is no such job: /v1/commits/{sha}/jobs lists those of a commit',
    );
  }
  refuseUnjudged(change);
  return rebuildOf(deps, { change, jobs: [index], asked });
};

const addOfDerivations = (app: ApiApp, deps: RouteDeps): void => {
  app.post(
    '/v1/drvs/:drv/rebuild',
    {
      schema: {
        operationId: 'rebuildDerivation',
        summary: 'Try it again although it failed',
        description: `With whatever failed by it; where it failed by another one, that one. ${forOperators}`,
        tags: ['derivations'],
        params: DrvParams,
        response,
      },
    },
    async (request) => {
      requireOperator(request);
      const drv = parseDrvParam(request.params.drv, deps.storeDir);
      if ((await deps.database.derivations.find(drv)) === null) {
        throw new HttpError('DRV_NOT_FOUND', 'no evaluation met this derivation so far: check its name');
      }
      return await clear(deps, drv, { drvs: [drv] });
    },
  );
  app.post(
    '/v1/admin/rebuild-all-failed',
    {
      schema: {
        operationId: 'rebuildAllFailed',
        summary: 'Try everything again that failed',
        description: `As after a fault of the surroundings that was taken for the packages' own. ${forOperators}`,
        tags: ['operations'],
        response,
      },
    },
    async (request) => {
      requireOperator(request);
      return await clear(deps, 'all failures', { drvs: 'all' });
    },
  );
};

const addOfChanges = (app: ApiApp, deps: RouteDeps): void => {
  const schema = { description: forOperators, body: RebuildRequest, response };
  app.post(
    '/v1/jobs/:id/rebuild',
    {
      schema: {
        operationId: 'rebuildJob',
        summary: 'Try again what failed of a job',
        tags: ['jobs'],
        params: JobParams,
        ...schema,
      },
    },
    async (request) => {
      requireOperator(request);
      return await rebuildJob(deps, request.params.id, request.body);
    },
  );
  const ofChange = {
    ...schema,
    summary: 'Try again what failed of it, and judge it again',
    tags: ['changes'],
  };
  app.post(
    '/v1/prs/:forge/:owner/:repo/:number/rebuild',
    { schema: { operationId: 'rebuildChange', params: ChangeParams, ...ofChange } },
    async (request) => {
      requireOperator(request);
      return await rebuildChange(deps, await findChange(deps, request.params), request.body);
    },
  );
  app.post(
    '/v1/reviews/:id/rebuild',
    { schema: { operationId: 'rebuildReview', params: ReviewParams, ...ofChange } },
    async (request) => {
      requireOperator(request);
      const change = await deps.database.changes.find(request.params.id);
      if (change?.kind !== 'submitted') {
        throw new HttpError('REVIEW_NOT_FOUND', 'nothing was submitted under this id, or it is long done');
      }
      return await rebuildChange(deps, change, request.body);
    },
  );
};

export const addRebuildRoutes = (app: ApiApp, deps: RouteDeps): void => {
  addOfDerivations(app, deps);
  addOfChanges(app, deps);
};
