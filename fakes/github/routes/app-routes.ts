// Routes of apps: themselves, where they are installed, their tokens, their deliveries.
import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import {
  type Answer,
  appOf,
  type Call,
  created,
  idParam,
  nothing,
  ok,
  param,
  type Routes,
  takePage,
} from '../http/call.ts';
import { resolveToken } from '../http/principal.ts';
import { renderUser } from '../render/account.ts';
import { renderApp, renderDelivery, renderFullDelivery, renderInstallation } from '../render/app.ts';
import { isoTime } from '../render/node-id.ts';
import { renderRepository, renderRepositoryFor } from '../render/repository.ts';
import type { App, Delivery, Installation, Repository } from '../state/entities.ts';
import {
  findAccount,
  findMovedRepository,
  findRepository,
  installationCovers,
  installationOf,
  isAtLeast,
  roleOf,
} from '../state/lookup.ts';
import { notFound, Refusal } from '../state/refusal.ts';
import { mustGet, type World } from '../state/world.ts';

/** Set by whoever sends deliveries. */
export type Redeliver = (delivery: Delivery) => void;

const tokenLifeMs = 3_600_000;
const redeliverableMs = 3 * 24 * 3_600_000;

const TokenRequest = z
  .object({
    repositories: z.array(z.string()).optional(),
    repository_ids: z.array(z.number()).optional(),
    permissions: z.record(z.string(), z.string()).optional(),
  })
  .default({});

const ownInstallation = (call: Call): Installation => {
  const app = appOf(call);
  const installation = call.world.installations.get(idParam(call, 'installation_id'));
  if (installation?.appId !== app.id) throw notFound();
  return installation;
};

const coveredBy = (world: World, installation: Installation): Repository[] =>
  [...world.repositories.values()].filter((one) => installationCovers(installation, one));

/** The repositories that a token is asked for; null for all that the installation has. */
const scopeOf = (
  world: World,
  installation: Installation,
  { repositories, repository_ids }: z.output<typeof TokenRequest>,
): Repository[] | null => {
  if (repositories === undefined && repository_ids === undefined) return null;
  const covered = coveredBy(world, installation);
  const wanted = [...(repositories ?? []), ...(repository_ids ?? [])];
  return wanted.map((one) => {
    const found = covered.find(({ id, name }) => id === one || name === one);
    if (found === undefined)
      throw new Refusal(
        422,
        'There is at least one repository that does not exist or is not accessible to the parent installation.',
      );
    return found;
  });
};

const narrowPermissions = (
  installation: Installation,
  wanted: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> => {
  if (wanted === undefined) return installation.permissions;
  for (const [name, level] of Object.entries(wanted)) {
    const held = installation.permissions[name];
    if (held === undefined || (level === 'write' && held === 'read'))
      throw new Refusal(422, 'The permissions requested are not granted to this installation.');
  }
  return wanted;
};

const createToken = (call: Call): Answer => {
  const { world } = call;
  const installation = ownInstallation(call);
  if (installation.suspended !== null) throw new Refusal(403, 'This installation has been suspended');
  const asked = TokenRequest.parse(call.body);
  const scope = scopeOf(world, installation, asked);
  const permissions = narrowPermissions(installation, asked.permissions);
  const token = `ghs_${randomBytes(18).toString('hex')}`;
  const expiresAtMs = world.clock.now() + tokenLifeMs;
  world.tokens.set(token, {
    kind: 'installation',
    installationId: installation.id,
    repositoryIds: scope === null ? null : new Set(scope.map(({ id }) => id)),
    permissions,
    expiresAtMs,
  });
  return created({
    token,
    expires_at: isoTime(expiresAtMs),
    permissions: { metadata: 'read', ...permissions },
    repository_selection: scope === null && installation.repositoryIds === null ? 'all' : 'selected',
    ...(scope === null ? {} : { repositories: scope.map((one) => renderRepository(world, one)) }),
  });
};

const findForAccount = (call: Call, login: string): Answer => {
  const app = appOf(call);
  const account = findAccount(call.world, login);
  const found = [...call.world.installations.values()].find(
    (one) => one.appId === app.id && one.accountId === account?.id,
  );
  if (found === undefined) throw notFound();
  return ok(renderInstallation(call.world, found));
};

const findForRepository = (call: Call): Answer => {
  const app = appOf(call);
  const [owner, name] = [param(call, 'owner'), param(call, 'repo')];
  const repository = findRepository(call.world, owner, name);
  const moved = findMovedRepository(call.world, owner, name);
  if (repository === null && moved !== null && installationOf(call.world, app, moved) !== null) {
    const location = `${call.world.urls.api}/repositories/${moved.id}/installation`;
    throw new Refusal(301, 'Moved Permanently', { headers: { location } });
  }
  const found = repository === null ? null : installationOf(call.world, app, repository);
  if (found === null) throw notFound();
  return ok(renderInstallation(call.world, found));
};

const deliveriesOf = ({ world }: Call, app: App): Delivery[] =>
  [...world.deliveries.values()].filter(({ appId }) => appId === app.id).toReversed();

const isSuccess = ({ statusCode }: Delivery): boolean => statusCode >= 200 && statusCode < 400;

const listDeliveries = (call: Call): Answer => {
  const { query, world, path } = call;
  const [perPage, cursor, status] = [
    Number(query.get('per_page') ?? 30),
    query.get('cursor'),
    query.get('status'),
  ];
  const all = deliveriesOf(call, appOf(call)).filter(
    (one) => status === null || isSuccess(one) === (status === 'success'),
  );
  const from = cursor === null ? 0 : all.findIndex(({ id }) => `v1_${id}` === cursor);
  if (from === -1) throw new Refusal(400, 'Invalid cursor');
  const next = all[from + perPage];
  const parameters = new URLSearchParams(query);
  if (next !== undefined) parameters.set('cursor', `v1_${next.id}`);
  const link = `<${world.urls.api}${path}?${parameters.toString()}>; rel="next"`;
  return {
    ...ok(all.slice(from, from + perPage).map(renderDelivery)),
    headers: next === undefined ? {} : { link },
  };
};

const ownDelivery = (call: Call): Delivery => {
  const delivery = call.world.deliveries.get(idParam(call, 'delivery_id'));
  if (delivery?.appId !== appOf(call).id) throw notFound();
  return delivery;
};

const installationRepositories = (call: Call): Answer => {
  const { world, principal } = call;
  if (principal.kind !== 'installation')
    throw new Refusal(
      403,
      'You must authenticate with an installation access token in order to list repositories for an installation.',
    );
  const { installation, token } = principal;
  const covered = coveredBy(world, installation).filter(
    ({ id }) => token.repositoryIds === null || token.repositoryIds.has(id),
  );
  const { items, headers } = takePage(call, covered);
  const role = token.permissions['contents'] === 'write' ? 'write' : 'read';
  const body = {
    total_count: covered.length,
    repository_selection: installation.repositoryIds === null ? 'all' : 'selected',
    repositories: items.map((one) => renderRepositoryFor(world, one, role)),
  };
  return { ...ok(body), headers };
};

const askedToken = (call: Call): { readonly text: string; readonly app: App } => {
  const app = appOf(call);
  const { access_token: text } = z.object({ access_token: z.string() }).parse(call.body);
  const token = call.world.tokens.get(text);
  if (app.clientId !== param(call, 'client_id') || token?.kind !== 'user' || token.appId !== app.id)
    throw notFound();
  return { text, app };
};

const checkToken = (call: Call): Answer => {
  const { text, app } = askedToken(call);
  const { world } = call;
  const principal = resolveToken(world, text);
  const token = mustGet(world.tokens, text);
  const user = principal.kind === 'user' ? renderUser(world, principal.user) : null;
  const at = isoTime(world.clock.now());
  return ok({
    id: 1,
    url: `${world.urls.api}/authorizations/1`,
    app: { name: app.name, url: `${world.urls.web}/apps/${app.slug}`, client_id: app.clientId },
    token: text,
    hashed_token: '',
    token_last_eight: text.slice(-8),
    note: null,
    note_url: null,
    created_at: at,
    updated_at: at,
    scopes: [],
    fingerprint: null,
    expires_at: token.expiresAtMs === null ? null : isoTime(token.expiresAtMs),
    user,
  });
};

/** Those that a person can see: on an account of theirs, or with a repository that they may read. */
const userInstallations = (call: Call): Installation[] => {
  const { world, principal } = call;
  if (principal.kind !== 'user' || principal.app === null)
    throw new Refusal(
      403,
      'You must authenticate with an access token authorized to a GitHub App in order to list installations',
    );
  const { user, app } = principal;
  return [...world.installations.values()].filter(
    (one) =>
      one.appId === app.id &&
      coveredBy(world, one).some((repository) => isAtLeast(roleOf(world, repository, user), 'read')),
  );
};

const userInstallationRepositories = (call: Call): Answer => {
  const { world, principal } = call;
  const installation = userInstallations(call).find(({ id }) => id === idParam(call, 'installation_id'));
  if (installation === undefined || principal.kind !== 'user') throw notFound();
  const seen = coveredBy(world, installation)
    .map((repository) => ({ repository, role: roleOf(world, repository, principal.user) }))
    .filter(({ role }) => isAtLeast(role, 'read'));
  const { items, headers } = takePage(call, seen);
  const repositories = items.map(({ repository, role }) => renderRepositoryFor(world, repository, role));
  return { ...ok({ total_count: seen.length, repositories }), headers };
};

export const createAppRoutes = (redeliver: Redeliver): Routes => ({
  'GET /app': (call) => {
    const app = appOf(call);
    const installed = [...call.world.installations.values()].filter(({ appId }) => appId === app.id);
    return ok({ ...renderApp(call.world, app), installations_count: installed.length });
  },
  'GET /app/hook/config': (call) => {
    const app = appOf(call);
    return ok({
      content_type: app.hookContentType,
      insecure_ssl: '0',
      url: app.hookUrl ?? '',
      ...(app.hookSecret === null ? {} : { secret: '********' }),
    });
  },
  'GET /app/installations': (call) => {
    const app = appOf(call);
    const own = [...call.world.installations.values()].filter(({ appId }) => appId === app.id);
    const { items, headers } = takePage(call, own);
    return { ...ok(items.map((one) => renderInstallation(call.world, one))), headers };
  },
  'GET /app/installations/{installation_id}': (call) =>
    ok(renderInstallation(call.world, ownInstallation(call))),
  'POST /app/installations/{installation_id}/access_tokens': createToken,
  'GET /app/hook/deliveries': listDeliveries,
  'GET /app/hook/deliveries/{delivery_id}': (call) => ok(renderFullDelivery(ownDelivery(call))),
  'POST /app/hook/deliveries/{delivery_id}/attempts': (call) => {
    const delivery = ownDelivery(call);
    if (delivery.deliveredAtMs < call.world.clock.now() - redeliverableMs)
      throw new Refusal(422, 'Deliveries older than 3 days cannot be redelivered');
    redeliver(delivery);
    return { status: 202, body: {} };
  },
  'GET /installation/repositories': installationRepositories,
  'GET /repos/{owner}/{repo}/installation': findForRepository,
  'GET /orgs/{org}/installation': (call) => findForAccount(call, param(call, 'org')),
  'GET /users/{username}/installation': (call) => findForAccount(call, param(call, 'username')),
  'POST /applications/{client_id}/token': checkToken,
  'DELETE /applications/{client_id}/token': (call) => {
    call.world.tokens.delete(askedToken(call).text);
    return nothing;
  },
  'GET /user/installations': (call) => {
    const seen = userInstallations(call);
    const { items, headers } = takePage(call, seen);
    const installations = items.map((one) => renderInstallation(call.world, one));
    return { ...ok({ total_count: seen.length, installations }), headers };
  },
  'GET /user/installations/{installation_id}/repositories': userInstallationRepositories,
});
