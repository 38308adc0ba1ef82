// Changes of all repositories, and one of them with its summary.
import { ChangeDetail, ChangePage, ChangeParams, ChangesQuery } from '@eka-ci/protocol/change';
import type { ChangeQuery, ChangeState } from '../../database/database.ts';
import { changeOnWire } from '../../pipeline/change-on-wire.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { type ApiApp, answers, badRequest, notFound } from '../route.ts';
import { readSummary } from '../stored-summary.ts';

const tags = ['changes'];

/** Without heads that were replaced each number is there once. */
const shownStates: readonly ChangeState[] = ['queued', 'judging', 'judged', 'failed', 'closed'];

const addList = (app: ApiApp, { database }: HttpDeps): void => {
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
      const { limit, cursor, repository, state } = query;
      const asked: ChangeQuery = {
        limit,
        states: state === undefined ? shownStates : [state],
        ...(cursor !== undefined && { cursor }),
        ...(repository !== undefined && { repository }),
      };
      const { changes, nextCursor } = await database.changes.list(asked);
      return { changes: changes.map(changeOnWire), nextCursor };
    },
  );
};

export const addChangeRoutes = (app: ApiApp, deps: HttpDeps): void => {
  addList(app, deps);
  app.get(
    '/v1/prs/:forge/:owner/:repo/:number',
    {
      schema: {
        operationId: 'getChange',
        summary: 'One change with its summary: the newest head of that number',
        tags,
        params: ChangeParams,
        response: { ...answers('The change', ChangeDetail), ...badRequest, ...notFound },
      },
    },
    async ({ params }) => {
      const { forge, owner, repo, number } = params;
      const repository = deps.findRepository({ forge, owner, name: repo });
      if (repository === null) {
        throw new HttpError(
          'REPOSITORY_NOT_FOUND',
          'no such repository is configured: /v1/prs lists changes of all',
        );
      }
      const change = await deps.database.changes.findByNumber(repository, number);
      if (change === null) {
        throw new HttpError(
          'CHANGE_NOT_FOUND',
          `${repository} has no change ${number}: /v1/prs lists what there is`,
        );
      }
      return { ...changeOnWire(change), summary: readSummary(change) };
    },
  );
};
