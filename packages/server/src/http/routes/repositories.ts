// Repositories that are served, and the commits of each that were judged.

import { PageQuery } from '@eka-ci/protocol/page';
import {
  Repository,
  RepositoryCommits,
  RepositoryCommitsQuery,
  RepositoryPage,
  RepositoryParams,
} from '@eka-ci/protocol/repository';
import type { z } from 'zod';
import { changeOnWire } from '../../pipeline/change-on-wire.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { pageOf } from '../offset-page.ts';
import { type ApiApp, answers, badRequest, notFound } from '../route.ts';

const tags = ['repositories'];

const find = (
  { repositories, findRepository }: HttpDeps,
  params: z.infer<typeof RepositoryParams>,
): Repository => {
  const { forge, owner, repo } = params;
  // As it is called now.
  const kept = findRepository({ forge, owner, name: repo }) ?? `${owner}/${repo}`;
  const found = repositories().find((one) => {
    if (one.forge === forge && one.name === `${owner}/${repo}`) return true;
    const [itsOwner = '', name = ''] = one.name.split('/');
    return findRepository({ forge: one.forge, owner: itsOwner, name }) === kept;
  });
  if (found !== undefined) return found;
  throw new HttpError(
    'REPOSITORY_NOT_FOUND',
    'no such repository is configured: /v1/repositories lists what there is',
  );
};

/** Under which its changes are kept: of a hosted forge not the name that it is shown by. */
const keptName = (deps: HttpDeps, params: z.infer<typeof RepositoryParams>): string => {
  const { name } = find(deps, params);
  const { forge, owner, repo } = params;
  return deps.findRepository({ forge, owner, name: repo }) ?? name;
};

const addList = (app: ApiApp, deps: HttpDeps): void => {
  app.get(
    '/v1/repositories',
    {
      schema: {
        operationId: 'listRepositories',
        summary: 'All that are served, in the order of the configuration',
        tags,
        querystring: PageQuery,
        response: { ...answers('One page', RepositoryPage), ...badRequest },
      },
    },
    async ({ query }, reply) => {
      reply.header('cache-control', 'no-store');
      const { items, total, nextCursor } = pageOf(deps.repositories(), query);
      return { total, repositories: [...items], leftOut: [...(deps.leftOut?.() ?? [])], nextCursor };
    },
  );
};

const addCommits = (app: ApiApp, deps: HttpDeps): void => {
  app.get(
    '/v1/repositories/:forge/:owner/:repo/commits',
    {
      schema: {
        operationId: 'listCommits',
        summary: 'Heads and baselines with what they came to, newest first',
        tags,
        params: RepositoryParams,
        querystring: RepositoryCommitsQuery,
        response: { ...answers('One page', RepositoryCommits), ...badRequest, ...notFound },
      },
    },
    async ({ params, query }) => {
      const { limit, cursor, branch } = query;
      const { changes, nextCursor } = await deps.database.changes.list({
        repository: keptName(deps, params),
        kinds: ['branch', 'offered', 'group', 'baseline'],
        limit,
        ...(cursor !== undefined && { cursor }),
        ...(branch !== undefined && { branch }),
      });
      return { commits: changes.map(changeOnWire), nextCursor };
    },
  );
};

export const addRepositoryRoutes = (app: ApiApp, deps: HttpDeps): void => {
  addList(app, deps);
  app.get(
    '/v1/repositories/:forge/:owner/:repo',
    {
      schema: {
        operationId: 'getRepository',
        summary: 'How one is seen',
        tags,
        params: RepositoryParams,
        response: { ...answers('As of now', Repository), ...badRequest, ...notFound },
      },
    },
    async ({ params }, reply) => {
      reply.header('cache-control', 'no-store');
      return find(deps, params);
    },
  );
  addCommits(app, deps);
};
