// Changes of all repositories, and one of them with its summary.
import { ChangeDetail, ChangePage, ChangeParams, ChangesQuery } from '@eka-ci/protocol/change';
import type { ChangeQuery, ChangeState } from '../../database/database.ts';
import { changeOnWire } from '../../pipeline/change-on-wire.ts';
import { findChange } from '../find-change.ts';
import { type ApiApp, answers, badRequest, notFound, type RouteDeps } from '../route.ts';
import { sendChange } from '../stored-summary.ts';

const tags = ['changes'];

/** Without heads that were replaced each number is there once. */
const shownStates: readonly ChangeState[] = ['queued', 'judging', 'judged', 'failed', 'closed'];

const addList = (app: ApiApp, { database }: RouteDeps): void => {
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
        ...(repository !== undefined && { repository }),
        ...(kind !== undefined && { kinds: [kind] }),
      };
      const { changes, nextCursor } = await database.changes.list(asked);
      return { changes: changes.map(changeOnWire), nextCursor };
    },
  );
};

const schema = {
  tags,
  response: { ...answers('The change', ChangeDetail), ...badRequest, ...notFound },
};

export const addChangeRoutes = (app: ApiApp, deps: RouteDeps): void => {
  addList(app, deps);
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
