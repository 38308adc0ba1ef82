// The tokens that somebody has for their programs: made in a browser, shown once, removed whenever they like.
import { ApiTokenParams, ApiTokenRequest, ApiTokens, NewApiToken } from '@eka-ci/protocol/user';
import { nameOfCaller } from '../../auth/caller.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { type ApiApp, answers, badRequest, conflict, forbidden, notFound, notKnown } from '../route.ts';

const tags = ['users'];
const url = '/v1/users/me/tokens';

const addListing = (app: ApiApp, { access, auth }: HttpDeps): void => {
  app.get(
    url,
    {
      schema: {
        operationId: 'listApiTokens',
        summary: 'API tokens of who is signed in, newest first',
        description: 'Those that have expired are shown for a month.',
        tags,
        response: { ...answers('As of now; what they open is not known any more', ApiTokens), ...notKnown },
      },
    },
    async (request, reply) => {
      const user = await access.requireUser(request);
      reply.header('cache-control', 'no-store');
      return { tokens: [...(await auth.users.tokensOf(user))] };
    },
  );
};

const addMaking = (app: ApiApp, { access, auth, actions }: HttpDeps): void => {
  app.post(
    url,
    {
      schema: {
        operationId: 'makeApiToken',
        summary: 'Make an API token',
        description:
          'It may do what its owner may, at any time, except make others. Shown this one time: only a hash of it is kept.',
        tags,
        body: ApiTokenRequest,
        response: {
          201: {
            description: 'It is made',
            content: { 'application/json': { schema: NewApiToken } },
          },
          ...badRequest,
          ...forbidden,
          ...conflict,
        },
      },
    },
    async (request, reply) => {
      const user = await access.requireUser(request);
      if (user.by === 'token') {
        throw new HttpError('SESSION_REQUIRED', 'an API token makes no others: sign in with a browser');
      }
      const { name, expiresInDays = null } = request.body;
      const made = await auth.apiTokens.make(user, { name, expiresInDays });
      if (made === null) {
        throw new HttpError(
          'API_TOKENS_EXCEEDED',
          'you have as many API tokens as there may be: remove some',
        );
      }
      const who = nameOfCaller(user);
      actions.audit({ who, action: 'make-token', subject: made.stored.id, effective: true });
      reply.code(201).header('cache-control', 'no-store');
      return { token: made.text, ...made.stored };
    },
  );
};

const addRemoving = (app: ApiApp, { access, auth, actions }: HttpDeps): void => {
  app.delete(
    `${url}/:id`,
    {
      schema: {
        operationId: 'removeApiToken',
        summary: 'Remove an API token: it is refused from then on',
        tags,
        params: ApiTokenParams,
        response: { ...answers('Those that are left', ApiTokens), ...badRequest, ...forbidden, ...notFound },
      },
    },
    async (request, reply) => {
      const user = await access.requireUser(request);
      const { id } = request.params;
      const isRemoved = await auth.users.removeToken(user, id);
      actions.audit({ who: nameOfCaller(user), action: 'remove-token', subject: id, effective: isRemoved });
      if (!isRemoved) {
        throw new HttpError(
          'API_TOKEN_NOT_FOUND',
          'you have no API token of this id: it may be removed already',
        );
      }
      reply.header('cache-control', 'no-store');
      return { tokens: [...(await auth.users.tokensOf(user))] };
    },
  );
};

export const addApiTokenRoutes = (app: ApiApp, deps: HttpDeps): void => {
  addListing(app, deps);
  addMaking(app, deps);
  addRemoving(app, deps);
};
