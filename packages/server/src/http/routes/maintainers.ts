// Who maintains what by the server's own table: what people ask for, and what admins grant.
import {
  AttrParams,
  MaintainedPaths,
  MaintainerAsk,
  MaintainerParams,
  MaintainerRequest,
  MaintainerRequestParams,
  MaintainerRequests,
  MaintainerRequestsQuery,
  Maintainers,
  NewMaintainer,
} from '@eka-ci/protocol/maintainer';
import { nameOfCaller } from '../../auth/caller.ts';
import type { AttrMaintainer, MaintainerRequest as StoredRequest } from '../../database/database.ts';
import type { TrustedCaller } from '../access.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { type ApiApp, answers, badRequest, conflict, forbidden, notFound, notKnown } from '../route.ts';

const tags = ['maintainers'];

const onWire = ({ host, userId, atMs, ...maintainer }: AttrMaintainer) => ({
  ...maintainer,
  ...{ forge: host, id: userId, grantedAtMs: atMs },
});

const requestOnWire = (request: StoredRequest): MaintainerRequest => {
  const { id, attr, host: forge, login, state, askedAtMs, decidedBy, decidedAtMs } = request;
  return { id, attr, forge, login, state, askedAtMs, decidedBy, decidedAtMs };
};

const loginOf = (caller: TrustedCaller): string => (caller.kind === 'user' ? caller.login : 'operator');

const addOwn = (app: ApiApp, { access, database, clock }: HttpDeps): void => {
  const { maintainers } = database;
  const url = '/v1/users/me/maintainer-requests';
  app.get(
    '/v1/users/me/maintained-paths',
    {
      schema: {
        operationId: 'listMaintainedPaths',
        summary: "What who is signed in maintains by this server's own table",
        description: 'What the packages themselves say comes beside it.',
        tags,
        response: { ...answers('As of now', MaintainedPaths), ...notKnown },
      },
    },
    async (request, reply) => {
      const { host, id } = await access.requireUser(request);
      reply.header('cache-control', 'no-store');
      return { attrs: [...(await maintainers.attrsOf(host, id))] };
    },
  );
  app.get(
    url,
    {
      schema: {
        operationId: 'listOwnMaintainerRequests',
        summary: 'What who is signed in asked to maintain',
        tags,
        response: { ...answers('As of now', MaintainerRequests), ...notKnown },
      },
    },
    async (request, reply) => {
      const { host, id: userId } = await access.requireUser(request);
      reply.header('cache-control', 'no-store');
      return { requests: (await maintainers.requests({ host, userId })).map(requestOnWire) };
    },
  );
  app.post(
    url,
    {
      schema: {
        operationId: 'requestMaintainer',
        summary: 'Ask to be a maintainer of an attribute',
        description: 'One that waits already, or is granted, is given back as it is.',
        tags,
        body: MaintainerAsk,
        response: { ...answers('What waits', MaintainerRequest), ...badRequest, ...forbidden, ...conflict },
      },
    },
    async (request) => {
      const { host, id: userId, login } = await access.requireUser(request);
      const { attr } = request.body;
      const asked = await maintainers.request({ host, attr, userId, login, askedAtMs: clock() });
      if (asked !== null) return requestOnWire(asked);
      throw new HttpError(
        'MAINTAINER_REQUESTS_EXCEEDED',
        'as many of your requests wait as may: have an admin decide on some first',
      );
    },
  );
};

/** @throws HttpError USER_NOT_FOUND */
const findPerson = async ({ auth }: HttpDeps, { forge, login }: NewMaintainer) => {
  const host = auth.hostOf(forge);
  const user = host === null ? null : await auth.users.findByLogin(host, login);
  if (user !== null) return { host: user.host, userId: user.id, login: user.login };
  throw new HttpError(
    'USER_NOT_FOUND',
    `nobody called ${login} has signed in with ${forge}: have them do it once (/github/auth/login)`,
  );
};

/** Also who has not signed in since they were made one. */
const findMaintainer = async (
  deps: HttpDeps,
  { attr, forge, login }: NewMaintainer & { readonly attr: string },
) => {
  const host = deps.auth.hostOf(forge) ?? forge;
  const user = deps.auth.hostOf(forge) === null ? null : await deps.auth.users.findByLogin(host, login);
  const all = (await deps.database.maintainers.of(attr)).filter((one) => one.host === host);
  const found =
    all.find(({ userId }) => userId === user?.id) ??
    all.find((one) => one.login.toLowerCase() === login.toLowerCase());
  if (found !== undefined) return found;
  throw new HttpError(
    'MAINTAINER_NOT_FOUND',
    `${login} is no maintainer of ${attr} by this server's own table`,
  );
};

const addTable = (app: ApiApp, deps: HttpDeps): void => {
  const { access, database, actions, clock } = deps;
  const { maintainers } = database;
  const url = '/v1/admin/attr-paths/:attr/maintainers';
  const list = async (attr: string) => ({ maintainers: (await maintainers.of(attr)).map(onWire) });
  app.get(
    url,
    {
      schema: {
        operationId: 'listAttrMaintainers',
        summary: "Who maintains an attribute by this server's own table",
        description: 'For admins.',
        tags,
        params: AttrParams,
        response: { ...answers('As of now', Maintainers), ...badRequest, ...forbidden },
      },
    },
    async (request, reply) => {
      await access.requireAdmin(request);
      reply.header('cache-control', 'no-store');
      return list(request.params.attr);
    },
  );
  app.post(
    url,
    {
      schema: {
        operationId: 'addAttrMaintainer',
        summary: 'Make somebody a maintainer of an attribute',
        description: 'In every repository of that forge that has such an attribute. For admins.',
        tags,
        params: AttrParams,
        body: NewMaintainer,
        response: { ...answers('As of now', Maintainers), ...badRequest, ...forbidden, ...notFound },
      },
    },
    async (request) => {
      const caller = await access.requireAdmin(request);
      const { attr } = request.params;
      const person = await findPerson(deps, request.body);
      const added = { ...person, attr, grantedBy: loginOf(caller), atMs: clock() };
      const effective = await maintainers.add(added);
      const subject = `${person.login} (${person.host} ${person.userId}) of ${attr}`;
      actions.audit({ who: nameOfCaller(caller), action: 'add-maintainer', subject, effective });
      return list(attr);
    },
  );
  app.delete(
    `${url}/:forge/:login`,
    {
      schema: {
        operationId: 'removeAttrMaintainer',
        summary: 'Take a maintainer of an attribute out of the table',
        description: 'What the package itself says stays. For admins.',
        tags,
        params: MaintainerParams,
        response: { ...answers('As of now', Maintainers), ...badRequest, ...forbidden, ...notFound },
      },
    },
    async (request) => {
      const caller = await access.requireAdmin(request);
      const { attr } = request.params;
      const found = await findMaintainer(deps, request.params);
      const effective = await maintainers.remove(found);
      const subject = `${found.login} (${found.host} ${found.userId}) of ${attr}`;
      actions.audit({ who: nameOfCaller(caller), action: 'remove-maintainer', subject, effective });
      return list(attr);
    },
  );
};

const addDecisions = (app: ApiApp, { access, database, actions, clock }: HttpDeps): void => {
  const { maintainers } = database;
  const url = '/v1/admin/maintainer-requests';
  app.get(
    url,
    {
      schema: {
        operationId: 'listMaintainerRequests',
        summary: 'Who asked to maintain what',
        description: 'For admins.',
        tags,
        querystring: MaintainerRequestsQuery,
        response: { ...answers('As of now', MaintainerRequests), ...badRequest, ...forbidden },
      },
    },
    async (request, reply) => {
      await access.requireAdmin(request);
      const { state } = request.query;
      reply.header('cache-control', 'no-store');
      const found = await maintainers.requests(state === undefined ? {} : { state });
      return { requests: found.map(requestOnWire) };
    },
  );
  for (const [name, state] of [
    ['grant', 'granted'],
    ['refuse', 'refused'],
  ] as const) {
    app.post(
      `${url}/:id/${name}`,
      {
        schema: {
          operationId: `${name}MaintainerRequest`,
          summary: name === 'grant' ? 'Make them a maintainer' : 'Leave it as it is',
          description: 'What was decided before stays. For admins.',
          tags,
          params: MaintainerRequestParams,
          response: {
            ...answers('As it is now', MaintainerRequest),
            ...badRequest,
            ...forbidden,
            ...notFound,
          },
        },
      },
      async (request) => {
        const caller = await access.requireAdmin(request);
        const { id } = request.params;
        const atMs = clock();
        const decided = await maintainers.decide(id, { state, by: loginOf(caller), atMs });
        if (decided === null) {
          throw new HttpError(
            'MAINTAINER_REQUEST_NOT_FOUND',
            'nobody asked under this id: list what there is',
          );
        }
        const subject = `${decided.login} (${decided.host} ${decided.userId}) of ${decided.attr}`;
        const effective = decided.decidedAtMs === atMs && decided.state === state;
        actions.audit({ who: nameOfCaller(caller), action: `${name}-maintainer`, subject, effective });
        return requestOnWire(decided);
      },
    );
  }
};

export const addMaintainerRoutes = (app: ApiApp, deps: HttpDeps): void => {
  addOwn(app, deps);
  addTable(app, deps);
  addDecisions(app, deps);
};
