// Failures that are not to be believed any more: they are cleared, and the changes that showed them are judged again.
import { ChangeParams } from '@eka-ci/protocol/change';
import { DrvParams } from '@eka-ci/protocol/derivation';
import { JobParams } from '@eka-ci/protocol/job';
import { Rebuild, RebuildRequest } from '@eka-ci/protocol/rebuild';
import { ReviewParams } from '@eka-ci/protocol/submission';
import { type Caller, nameOfCaller } from '../../auth/caller.ts';
import type { ClearedFailures, FailuresToClear, StoredChange } from '../../database/database.ts';
import { changeOnWire } from '../../pipeline/change-on-wire.ts';
import type { RebuildAnswer } from '../../pipeline/rebuild-answer.ts';
import type { WriterQuestion } from '../access.ts';
import { parseDrvParam } from '../drv-param.ts';
import { HttpError } from '../errors.ts';
import { findChange } from '../find-change.ts';
import { jobsOf, rebuildJudged } from '../rebuild-change.ts';
import {
  type ApiApp,
  answers,
  badRequest,
  conflict,
  forbidden,
  forgeUnavailable,
  notFound,
  type RouteDeps,
} from '../route.ts';

const forAdmins = 'What succeeded is not built again. For admins.';
const forWriters =
  'What succeeded is not built again. For who may write to the repository or maintains all that is named, and admins.';
const response = {
  ...answers('What was cleared, and what is judged again', Rebuild),
  ...badRequest,
  ...forbidden,
  ...notFound,
  ...conflict,
};

interface Audited {
  readonly caller: Caller;
  readonly subject: string;
}

const told = (
  deps: RouteDeps,
  { caller, subject }: Audited,
  { cleared, changes }: Pick<ClearedFailures, 'cleared' | 'changes'>,
): Rebuild => {
  const effective = cleared > 0 || changes.length > 0;
  deps.actions.audit({ who: nameOfCaller(caller), action: 'rebuild', subject, effective });
  if (effective) deps.actions.wake();
  return { cleared, changes: changes.map(changeOnWire) };
};

/** In one transaction, so that no crash leaves a failure cleared that nobody tries again. */
const clear = async (
  deps: RouteDeps,
  audited: Audited,
  which: Omit<FailuresToClear, 'atMs'>,
): Promise<Rebuild> => {
  return told(deps, audited, await deps.database.changes.clearFailures({ ...which, atMs: deps.clock() }));
};

const refuseEnded = ({ state }: StoredChange): void => {
  if (state !== 'superseded' && state !== 'closed') return;
  throw new HttpError('CHANGE_NOT_READY', `it is ${state}: what is not wanted any more is not judged`);
};

const requireDone = (
  answer: RebuildAnswer,
  change: StoredChange,
): Extract<RebuildAnswer, { kind: 'done' }> => {
  if (answer.kind === 'done') return answer;
  if (answer.kind === 'not-judged') {
    throw new HttpError(
      'CHANGE_NOT_READY',
      `it is ${change.state}: what fails of it is known when it is judged`,
    );
  }
  const few = answer.attrs.slice(0, 5).join(', ');
  throw new HttpError(
    'ATTRIBUTE_NOT_FOUND',
    `nothing of this name was judged: ${few}${answer.attrs.length > 5 ? ', …' : ''}; /v1/jobs/{id}/drvs lists what was`,
  );
};

interface Granted {
  readonly caller: Caller;
  readonly change: StoredChange;
}

const rebuild = async (
  deps: RouteDeps,
  { caller, change }: Granted,
  { asked, job = null }: { readonly asked: RebuildRequest; readonly job?: number | null },
): Promise<Rebuild> => {
  refuseEnded(change);
  const wanted = 'attrs' in asked ? { attrs: asked.attrs } : ({ failed: true } as const);
  const { summaries, database, clock } = deps;
  const answer = await rebuildJudged({ summaries, changes: database.changes, clock }, change, {
    wanted,
    job,
  });
  const subject = `failures of ${change.repository} ${change.number} (${change.id})`;
  return told(deps, { caller, subject }, requireDone(answer, change));
};

const splitJobId = (id: string): { readonly changeId: string; readonly job: number } => {
  const dot = id.lastIndexOf('.');
  return { changeId: id.slice(0, dot), job: Number(id.slice(dot + 1)) };
};

/** @throws HttpError JUDGED_JOB_NOT_FOUND */
const findChangeOfJob = async (deps: RouteDeps, id: string): Promise<StoredChange> => {
  const { changeId, job } = splitJobId(id);
  const change = await deps.database.changes.find(changeId);
  if (change !== null && (await jobsOf(deps.summaries, change)).includes(job)) return change;
  throw new HttpError(
    'JUDGED_JOB_NOT_FOUND',
    'there is no such job: /v1/commits/{sha}/jobs lists those of a commit',
  );
};

/** Maintainers may try again what is theirs; for whatever failed one has to answer for all of it. */
const createMaintainerRule =
  ({ rights }: RouteDeps, asked: RebuildRequest): NonNullable<WriterQuestion['orElse']> =>
  async (user, change, signal) =>
    'attrs' in asked && (await rights.maintains(change, user, asked.attrs, signal));

const addOfDerivations = (app: ApiApp, deps: RouteDeps): void => {
  app.post(
    '/v1/drvs/:drv/rebuild',
    {
      schema: {
        operationId: 'rebuildDerivation',
        summary: 'Try it again although it failed',
        description: `With whatever failed by it; where it failed by another one, that one. ${forAdmins}`,
        tags: ['derivations'],
        params: DrvParams,
        response,
      },
    },
    async (request) => {
      const caller = await deps.access.requireAdmin(request);
      const drv = parseDrvParam(request.params.drv, deps.storeDir);
      if ((await deps.database.derivations.find(drv)) === null) {
        throw new HttpError('DRV_NOT_FOUND', 'no evaluation met this derivation so far: check its name');
      }
      return await clear(deps, { caller, subject: drv }, { drvs: [drv] });
    },
  );
  app.post(
    '/v1/admin/rebuild-all-failed',
    {
      schema: {
        operationId: 'rebuildAllFailed',
        summary: 'Try everything again that failed',
        description: `As after a fault of the surroundings that was taken for the packages' own. ${forAdmins}`,
        tags: ['operations'],
        response,
      },
    },
    async (request) => {
      const caller = await deps.access.requireAdmin(request);
      return await clear(deps, { caller, subject: 'all failures' }, { drvs: 'all' });
    },
  );
};

const addOfChanges = (app: ApiApp, deps: RouteDeps): void => {
  const schema = {
    description: forWriters,
    body: RebuildRequest,
    response: { ...response, ...forgeUnavailable },
  };
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
      const { id } = request.params;
      const find = () => findChangeOfJob(deps, id);
      const orElse = createMaintainerRule(deps, request.body);
      const granted = await deps.access.requireWriter(request, { find, orElse });
      return await rebuild(deps, granted, { asked: request.body, job: splitJobId(id).job });
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
      const find = () => findChange(deps, request.params);
      const orElse = createMaintainerRule(deps, request.body);
      const granted = await deps.access.requireWriter(request, { find, orElse });
      return await rebuild(deps, granted, { asked: request.body });
    },
  );
  app.post(
    '/v1/reviews/:id/rebuild',
    {
      schema: {
        ...ofChange,
        operationId: 'rebuildReview',
        description: forAdmins,
        params: ReviewParams,
        response,
      },
    },
    async (request) => {
      const caller = await deps.access.requireAdmin(request);
      const change = await deps.database.changes.find(request.params.id);
      if (change?.kind !== 'submitted') {
        throw new HttpError('REVIEW_NOT_FOUND', 'nothing was submitted under this id, or it is long done');
      }
      return await rebuild(deps, { caller, change }, { asked: request.body });
    },
  );
};

export const addRebuildRoutes = (app: ApiApp, deps: RouteDeps): void => {
  addOfDerivations(app, deps);
  addOfChanges(app, deps);
};
