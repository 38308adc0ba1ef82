// What operators do with the pushes to a cache: have them tried at once, or all over again.
import { CacheParams, PushesDue, PushOrder } from '@eka-ci/protocol/operations';
import { nameOfCaller } from '../../auth/caller.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { type ApiApp, answers, badRequest, forbidden, notFound, notReady } from '../route.ts';

export const addCacheRoutes = (app: ApiApp, { access, actions, isReady, pushes }: HttpDeps): void => {
  app.post(
    '/v1/caches/:cache/push',
    {
      schema: {
        operationId: 'pushToCache',
        summary: 'Try at once what waits for a cache',
        description:
          'Whatever kept it from being pushed before. With `what=everything` also what was pushed is looked at again: what the cache has lost is pushed, as far as it is in the store. For admins.',
        tags: ['operations'],
        params: CacheParams,
        querystring: PushOrder,
        response: {
          ...answers('How much is due by that', PushesDue),
          ...badRequest,
          ...forbidden,
          ...notFound,
          ...notReady,
        },
      },
    },
    async (request) => {
      const who = nameOfCaller(await access.requireAdmin(request));
      if (!isReady()) {
        throw new HttpError('SERVER_NOT_READY', 'the server starts or ends: try again in a moment');
      }
      const { cache } = request.params;
      const due = await pushes.pushNow(cache, request.query.what);
      if (due === null) {
        throw new HttpError('CACHE_NOT_FOUND', 'no cache of this name is configured: /v1/status lists them');
      }
      actions.audit({ who, action: 'push-again', subject: `cache ${cache}`, effective: due > 0 });
      return { due };
    },
  );
};
