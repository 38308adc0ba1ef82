// The badge of a repository, for its README: how its base branch stands.
import { BadgeParams, BadgeQuery } from '@eka-ci/protocol/badge';
import { z } from 'zod';
import type { ChangeListing, ChangeState } from '../../database/database.ts';
import { badgeOf, renderBadge } from '../badge.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { type ApiApp, badRequest, notFound } from '../route.ts';

/** Also what a newer one took the place of: while that is judged, this is the newest there is. */
const concluded: readonly ChangeState[] = ['judged', 'failed', 'superseded'];
/** So many of the newest are looked at: the others were given up before they had ended. */
const looked = 50;

/** Null where no base branch was judged so far. */
const findNewest = async (
  { database }: HttpDeps,
  repository: string,
  branch: string | undefined,
): Promise<ChangeListing | null> => {
  const asked = { repository, kinds: ['baseline'], states: concluded, limit: looked } as const;
  const { changes } = await database.changes.list(asked);
  const newest = changes.find(
    (change) =>
      change.conclusion !== null &&
      change.conclusion !== 'cancelled' &&
      (branch === undefined || change.branch === branch),
  );
  return newest ?? null;
};

const fiveMinutes = 'public, max-age=300';

export const addBadgeRoutes = (app: ApiApp, deps: HttpDeps): void => {
  app.get(
    '/v1/badges/:forge/:owner/:file',
    {
      schema: {
        operationId: 'getBadge',
        summary: 'How a base branch stands, as a picture',
        description:
          'What its newest judgement came to; "unknown" before the first. `file` is `<repository>.svg`.',
        tags: ['repositories'],
        params: BadgeParams,
        querystring: BadgeQuery,
        response: {
          200: { description: 'A badge', content: { 'image/svg+xml': { schema: z.string() } } },
          ...badRequest,
          ...notFound,
        },
      },
    },
    async ({ params, query }, reply) => {
      const { forge, owner, file } = params;
      const name = file.slice(0, -'.svg'.length);
      const repository = deps.findRepository({ forge, owner, name });
      if (repository === null) {
        throw new HttpError('REPOSITORY_NOT_FOUND', 'no such repository is configured');
      }
      const newest = await findNewest(deps, repository, query.branch);
      return reply
        .headers({
          'content-type': 'image/svg+xml',
          'cache-control': fiveMinutes,
          // A README on another site shows it.
          'cross-origin-resource-policy': 'cross-origin',
        })
        .send(renderBadge(badgeOf(newest?.conclusion ?? null)));
    },
  );
};
