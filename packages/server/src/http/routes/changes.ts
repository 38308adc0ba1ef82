// Changes of all repositories, and one of them with its summary.
import {
  ActiveChanges,
  ActiveChangesQuery,
  ChangeDetail,
  ChangePage,
  ChangeParams,
  type ChangeProgress,
  ChangesQuery,
} from '@eka-ci/protocol/change';
import type { ChangeKind, ChangeQuery, ChangeState } from '../../database/database.ts';
import { changeOnWire } from '../../pipeline/change-on-wire.ts';
import { findChange, keptRepositoryOf } from '../find-change.ts';
import { type ApiApp, answers, badRequest, notFound, type RouteDeps } from '../route.ts';
import { sendChange } from '../stored-summary.ts';

const tags = ['changes'];

/** Without heads that were replaced each number is there once. */
const shownStates: readonly ChangeState[] = [
  'awaiting-approval',
  'queued',
  'judging',
  'judged',
  'failed',
  'closed',
];

const addList = (app: ApiApp, deps: RouteDeps): void => {
  const { database } = deps;
  app.get(
    '/v1/prs',
    {
      schema: {
        operationId: 'listChanges',
        summary: 'Changes of all repositories, newest first',
        tags,
        querystring: ChangesQuery,
        response: { ...answers('One page', ChangePage), ...badRequest },
      },
    },
    async ({ query }) => {
      const { limit, cursor, repository, state, kind } = query;
      const asked: ChangeQuery = {
        limit,
        states: state === undefined ? shownStates : [state],
        ...(cursor !== undefined && { cursor }),
        ...(repository !== undefined && { repository: keptRepositoryOf(deps, repository) }),
        ...(kind !== undefined && { kinds: [kind] }),
      };
      const { changes, nextCursor } = await database.changes.list(asked);
      return { changes: changes.map(changeOnWire), nextCursor };
    },
  );
};

const everyKind: readonly ChangeKind[] = ['branch', 'offered', 'group', 'baseline', 'submitted'];
/** Of a change of which nothing was told yet: one that waits, or whose repository is being fetched. */
const progressOfState = (state: ChangeState): ChangeProgress => ({
  stage: state === 'judging' ? 'checking-out' : 'waiting',
  finished: 0,
  total: 0,
  failed: 0,
  etaSeconds: null,
});

/** Changes of that state, as many as there is room for. */
const readOpen = async (
  { database, progressOf }: RouteDeps,
  state: ChangeState,
  limit: number,
): Promise<ActiveChanges['changes']> => {
  if (limit === 0) return [];
  const { changes } = await database.changes.list({ kinds: everyKind, states: [state], limit });
  return changes.map((change) => {
    const progress = (state === 'judging' ? progressOf(change.id) : null) ?? progressOfState(state);
    return { ...changeOnWire(change), progress };
  });
};

const addActive = (app: ApiApp, deps: RouteDeps): void => {
  app.get(
    '/v1/prs/active',
    {
      schema: {
        operationId: 'listActiveChanges',
        summary: 'Changes that are judged now, with how far they are, and those that wait',
        tags,
        querystring: ActiveChangesQuery,
        response: { ...answers('Of every kind', ActiveChanges), ...badRequest },
      },
    },
    async ({ query: { limit } }, reply) => {
      reply.header('cache-control', 'no-store');
      const judged = await readOpen(deps, 'judging', limit);
      const waiting = await readOpen(deps, 'queued', limit - judged.length);
      // What was claimed between the two readings is there once.
      const ids = new Set(judged.map(({ id }) => id));
      const changes = [...judged, ...waiting.filter(({ id }) => !ids.has(id))];
      return { counts: { ...deps.status().changes }, changes };
    },
  );
};

const schema = {
  tags,
  response: { ...answers('The change', ChangeDetail), ...badRequest, ...notFound },
};

export const addChangeRoutes = (app: ApiApp, deps: RouteDeps): void => {
  addList(app, deps);
  addActive(app, deps);
  app.get(
    '/v1/prs/:forge/:owner/:repo/:number',
    {
      schema: {
        operationId: 'getChange',
        summary: 'One change with its summary: the newest head of that number',
        params: ChangeParams,
        ...schema,
      },
    },
    async (request, reply) => {
      await sendChange(deps, { request, reply }, await findChange(deps, request.params));
      return reply;
    },
  );
  app.get(
    '/v1/prs/:owner/:repo/:number',
    {
      schema: {
        operationId: 'getGithubChange',
        summary: 'As the longer address, of the forge "github"',
        params: ChangeParams.omit({ forge: true }),
        ...schema,
      },
    },
    async (request, reply) => {
      const change = await findChange(deps, { ...request.params, forge: 'github' });
      await sendChange(deps, { request, reply }, change);
      return reply;
    },
  );
};
