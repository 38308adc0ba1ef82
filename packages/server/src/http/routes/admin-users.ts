// Who signed in so far, and which of them are admins.
import { PageQuery } from '@eka-ci/protocol/page';
import { KnownUser, UserPage, UserParams } from '@eka-ci/protocol/user';
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Auth } from '../../auth/auth.ts';
import { nameOfCaller } from '../../auth/caller.ts';
import type { StoredUser, UserKey } from '../../database/database.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { type ApiApp, answers, badRequest, conflict, forbidden, notFound } from '../route.ts';

const tags = ['admins'];

type UserName = z.infer<typeof UserParams>;

const adminBy = (user: StoredUser, { admins }: Auth): KnownUser['adminBy'] => {
  if (user.promoted) return 'promoted';
  return admins.isAdmin(user) ? 'listed' : null;
};

const onWire = (user: StoredUser, auth: Auth): KnownUser => ({
  ...{ forge: user.host, id: user.id, login: user.login, isAdmin: auth.admins.isAdmin(user) },
  adminBy: adminBy(user, auth),
  ...{ createdAtMs: user.createdAtMs, signedInAtMs: user.signedInAtMs },
});

const cursorForm = /^([a-z0-9.:-]{1,260}) (\d{1,16})$/;

/** @throws HttpError CURSOR_INVALID */
const placeOf = (cursor: string | undefined): UserKey | null => {
  if (cursor === undefined) return null;
  const [, host, id] = cursorForm.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  if (host !== undefined && Number.isSafeInteger(Number(id))) return { host, id: Number(id) };
  throw new HttpError('CURSOR_INVALID', 'this cursor is not one of ours: start again without one');
};

const cursorAfter = (user: UserKey | undefined): string | null =>
  user === undefined ? null : Buffer.from(`${user.host} ${user.id}`).toString('base64url');

const addListing = (app: ApiApp, { access, auth }: HttpDeps): void => {
  app.get(
    '/v1/admin/users',
    {
      schema: {
        operationId: 'listUsers',
        summary: 'Everybody who signed in so far',
        description: 'For admins.',
        tags,
        querystring: PageQuery,
        response: { ...answers('A page of them', UserPage), ...badRequest, ...forbidden },
      },
    },
    async (request, reply) => {
      await access.requireAdmin(request);
      const { limit, cursor } = request.query;
      const found = await auth.users.list({ after: placeOf(cursor), limit: limit + 1 });
      const shown = found.slice(0, limit);
      reply.header('cache-control', 'no-store');
      return {
        users: shown.map((user) => onWire(user, auth)),
        nextCursor: found.length > limit ? cursorAfter(shown.at(-1)) : null,
      };
    },
  );
};

/** @throws HttpError USER_NOT_FOUND */
const findUser = async ({ auth }: HttpDeps, { forge, login }: UserName): Promise<StoredUser> => {
  const host = auth.hostOf(forge);
  const user = host === null ? null : await auth.users.findByLogin(host, login);
  if (user !== null) return user;
  throw new HttpError(
    'USER_NOT_FOUND',
    host === null
      ? `nobody signs in with ${forge} here: check the name, and oauth.client_id of the server`
      : `${login} has not signed in so far: have them do it once (/github/auth/login)`,
  );
};

const setPromoted = async (
  deps: HttpDeps,
  { request, params }: { readonly request: FastifyRequest; readonly params: UserName },
  promoted: boolean,
): Promise<KnownUser> => {
  const { access, auth, actions } = deps;
  const who = nameOfCaller(await access.requireAdmin(request));
  const user = await findUser(deps, params);
  const stored = (await auth.users.setPromoted(user, promoted)) ?? user;
  const subject = `${stored.login} (${stored.host} ${stored.id})`;
  const action = promoted ? 'promote' : 'demote';
  actions.audit({ who, action, subject, effective: user.promoted !== promoted });
  if (!promoted && auth.admins.isAdmin(stored)) {
    throw new HttpError(
      'ADMIN_LISTED',
      `${stored.login} is an admin by the configuration: take them out of "admins" and start the server anew`,
    );
  }
  return onWire(stored, auth);
};

const changes = [
  [
    'promote',
    'Make somebody an admin',
    'Whoever has signed in once, by their id: they stay it under another login.',
  ],
  [
    'demote',
    'Make an admin a user like others',
    'It holds from the next request on, for sessions and tokens.',
  ],
] as const;

export const addAdminUserRoutes = (app: ApiApp, deps: HttpDeps): void => {
  addListing(app, deps);
  for (const [name, summary, description] of changes) {
    app.post(
      `/v1/admin/users/:forge/:login/${name}`,
      {
        schema: {
          operationId: `${name}User`,
          summary,
          description: `${description} For admins.`,
          tags,
          params: UserParams,
          response: {
            ...answers('As they are now', KnownUser),
            ...badRequest,
            ...forbidden,
            ...notFound,
            ...conflict,
          },
        },
      },
      async (request) => await setPromoted(deps, { request, params: request.params }, name === 'promote'),
    );
  }
};
