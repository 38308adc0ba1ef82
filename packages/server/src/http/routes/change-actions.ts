// What people do to a change: cancel it, approve it, have it judged again. Each is idempotent, and logged.
import { Change, ChangeActionQuery, ChangeParams } from '@eka-ci/protocol/change';
import { ReviewParams } from '@eka-ci/protocol/submission';
import { type Caller, nameOfCaller } from '../../auth/caller.ts';
import type { ChangeListing, StoredChange } from '../../database/database.ts';
import { approveChange } from '../../pipeline/approval/approve-change.ts';
import { changeOnWire } from '../../pipeline/change-on-wire.ts';
import { readOffered } from '../../pipeline/offered-request.ts';
import type { WriterQuestion } from '../access.ts';
import { HttpError } from '../errors.ts';
import { findChange } from '../find-change.ts';
import type { HttpDeps } from '../http-options.ts';
import type { AuditedAction } from '../operator-actions.ts';
import {
  type ApiApp,
  answers,
  badRequest,
  conflict,
  forbidden,
  forgeUnavailable,
  notFound,
} from '../route.ts';

const tags = ['changes'];

interface Done {
  /** As it is now. */
  readonly change: ChangeListing;
  readonly effective: boolean;
}

const isAtRest = ({ state }: ChangeListing): boolean => state === 'judged' || state === 'failed';

const nameOf = ({ kind, repository, number, id }: ChangeListing): string =>
  kind === 'submitted' ? `the review ${id}` : `${repository} ${number}`;

const refuseEnded = (change: ChangeListing): void => {
  if (change.state !== 'superseded' && change.state !== 'closed') return;
  throw new HttpError(
    'CHANGE_NOT_READY',
    `${nameOf(change)} is ${change.state}: what is not wanted any more is not judged`,
  );
};

/** Another request, or the judge loop, was faster than this one. */
const changedMeanwhile = (change: ChangeListing): HttpError =>
  new HttpError('CHANGE_NOT_READY', `${nameOf(change)} has changed meanwhile: look at it, and ask again`);

const cancel = async (deps: HttpDeps, change: StoredChange): Promise<Done> => {
  const cancelled = await deps.database.changes.cancel(change.id, deps.clock());
  if (cancelled === null) throw changedMeanwhile(change);
  if (cancelled.ended) deps.actions.stopJudging(change.id);
  return { change: cancelled.change, effective: cancelled.ended };
};

const approve = async (deps: HttpDeps, change: StoredChange): Promise<Done> => {
  refuseEnded(change);
  const approved = await approveChange(deps, change);
  switch (approved.kind) {
    case 'approved':
      return { change: approved.change, effective: true };
    case 'was-approved':
      return { change, effective: false };
    case 'ended':
    case 'moved':
      throw changedMeanwhile(change);
  }
};

const rejudge = async (deps: HttpDeps, change: StoredChange): Promise<Done> => {
  refuseEnded(change);
  // It is going to be judged anyway.
  if (!isAtRest(change)) return { change, effective: false };
  const { changes } = await deps.database.changes.clearFailures({
    drvs: [],
    failuresOf: change.id,
    askedOf: change.id,
    atMs: deps.clock(),
  });
  const queued = changes.find(({ id }) => id === change.id);
  if (queued === undefined) throw changedMeanwhile(change);
  return { change: queued, effective: true };
};

interface Action {
  readonly name: AuditedAction['action'];
  readonly summary: string;
  readonly description: string;
  readonly act: (deps: HttpDeps, change: StoredChange) => Promise<Done>;
  /** Who may do it beside those who may write to the repository. */
  readonly orElse?: NonNullable<WriterQuestion['orElse']>;
}

const isAuthor: Action['orElse'] = async ({ id }, change) =>
  change.kind === 'offered' && readOffered(change).author?.id === id;

const actions: readonly Action[] = [
  {
    name: 'cancel',
    summary: 'Stop judging it',
    description: 'Its builds end, and it counts as cancelled until its head moves or it is judged again.',
    act: cancel,
    orElse: isAuthor,
  },
  {
    name: 'approve',
    summary: 'Let it build, from wherever it comes and however much it takes',
    description:
      'This head alone: a newer one waits for approval again. Also before it is known whether it has to wait.',
    act: approve,
  },
  {
    name: 'rejudge',
    summary: 'Judge it again',
    description: 'What failed is built again; what succeeded is not. An approval stays.',
    act: rejudge,
  },
];

interface Granted {
  readonly caller: Caller;
  readonly change: StoredChange;
}

const carryOut = async (
  deps: HttpDeps,
  { name, act }: Action,
  { caller, change }: Granted,
): Promise<ReturnType<typeof changeOnWire>> => {
  const done = await act(deps, change);
  const subject = { subject: nameOf(change), effective: done.effective };
  deps.actions.audit({ who: nameOfCaller(caller), action: name, ...subject });
  if (done.effective) deps.actions.wake();
  return changeOnWire(done.change);
};

/** Between looking at a change and this request its author may have pushed anything. */
const refuseMoved = (change: StoredChange, head: string | undefined): void => {
  if (head === undefined || head === change.head) return;
  throw new HttpError(
    'CHANGE_NOT_READY',
    `the head of ${nameOf(change)} is ${change.head} by now: look at that one, and ask again`,
  );
};

const findReview = async ({ database }: HttpDeps, id: string): Promise<StoredChange> => {
  const change = await database.changes.find(id);
  if (change?.kind === 'submitted') return change;
  throw new HttpError('REVIEW_NOT_FOUND', 'nothing was submitted under this id, or it is long done');
};

const addAction = (app: ApiApp, deps: HttpDeps, action: Action): void => {
  const { name, summary, description, orElse } = action;
  const { access } = deps;
  const schema = {
    tags,
    response: {
      ...answers('As it is now', Change),
      ...badRequest,
      ...forbidden,
      ...notFound,
      ...conflict,
    },
  };
  const writers =
    orElse === undefined ? 'who may write to the repository' : 'its author, who may write to the repository';
  const ofChange = {
    ...schema,
    description: `${description} For ${writers}, and admins.`,
    response: { ...schema.response, ...forgeUnavailable },
  };
  const ofReview = { ...schema, description: `${description} For admins.` };
  app.post(
    `/v1/prs/:forge/:owner/:repo/:number/${name}`,
    {
      schema: {
        operationId: `${name}Change`,
        summary,
        params: ChangeParams,
        querystring: ChangeActionQuery,
        ...ofChange,
      },
    },
    async (request) => {
      const find = () => findChange(deps, request.params);
      const granted = await access.requireWriter(request, { find, ...(orElse && { orElse }) });
      refuseMoved(granted.change, request.query.head);
      return await carryOut(deps, action, granted);
    },
  );
  app.post(
    `/v1/reviews/:id/${name}`,
    { schema: { operationId: `${name}Review`, summary, params: ReviewParams, ...ofReview } },
    async (request) => {
      const caller = await access.requireAdmin(request);
      return await carryOut(deps, action, { caller, change: await findReview(deps, request.params.id) });
    },
  );
};

export const addChangeActionRoutes = (app: ApiApp, deps: HttpDeps): void => {
  for (const action of actions) addAction(app, deps, action);
};
