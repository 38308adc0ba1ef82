// What operators do to a change: cancel it, approve it, have it judged again. Each is idempotent, and logged.
import { Change, ChangeParams } from '@eka-ci/protocol/change';
import { ReviewParams } from '@eka-ci/protocol/submission';
import type { ChangeListing, StoredChange } from '../../database/database.ts';
import { changeOnWire } from '../../pipeline/change-on-wire.ts';
import { HttpError } from '../errors.ts';
import { findChange } from '../find-change.ts';
import type { HttpDeps } from '../http-options.ts';
import { requireOperator } from '../operator.ts';
import type { AuditedAction } from '../operator-actions.ts';
import { type ApiApp, answers, badRequest, conflict, forbidden, notFound } from '../route.ts';

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
  const isSettled = change.state === 'judged' && change.conclusion !== 'action-required';
  if (change.approved && (isSettled || !isAtRest(change))) return { change, effective: false };
  // Where it is not at rest it is not known whether it waits for this: if its judgement finds so, it is judged again.
  const approved = await deps.database.changes.requeue(change.id, { atMs: deps.clock(), approved: true });
  if (approved === null) throw changedMeanwhile(change);
  return { change: approved, effective: true };
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
}

const actions: readonly Action[] = [
  {
    name: 'cancel',
    summary: 'Stop judging it',
    description: 'Its builds end, and it counts as cancelled until its head moves or it is judged again.',
    act: cancel,
  },
  {
    name: 'approve',
    summary: 'Let it build however much it takes',
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

const carryOut = async (
  deps: HttpDeps,
  { name, act }: Action,
  change: StoredChange,
): Promise<ReturnType<typeof changeOnWire>> => {
  const done = await act(deps, change);
  deps.actions.audit({ action: name, subject: nameOf(change), effective: done.effective });
  if (done.effective) deps.actions.wake();
  return changeOnWire(done.change);
};

const findReview = async ({ database }: HttpDeps, id: string): Promise<StoredChange> => {
  const change = await database.changes.find(id);
  if (change?.kind === 'submitted') return change;
  throw new HttpError('REVIEW_NOT_FOUND', 'nothing was submitted under this id, or it is long done');
};

const addAction = (app: ApiApp, deps: HttpDeps, action: Action): void => {
  const { name, summary, description } = action;
  const schema = {
    description: `${description} For operators: over the unix socket.`,
    tags,
    response: {
      ...answers('As it is now', Change),
      ...badRequest,
      ...forbidden,
      ...notFound,
      ...conflict,
    },
  };
  app.post(
    `/v1/prs/:forge/:owner/:repo/:number/${name}`,
    { schema: { operationId: `${name}Change`, summary, params: ChangeParams, ...schema } },
    async (request) => {
      requireOperator(request);
      return await carryOut(deps, action, await findChange(deps, request.params));
    },
  );
  app.post(
    `/v1/reviews/:id/${name}`,
    { schema: { operationId: `${name}Review`, summary, params: ReviewParams, ...schema } },
    async (request) => {
      requireOperator(request);
      return await carryOut(deps, action, await findReview(deps, request.params.id));
    },
  );
};

export const addChangeActionRoutes = (app: ApiApp, deps: HttpDeps): void => {
  for (const action of actions) addAction(app, deps, action);
};
