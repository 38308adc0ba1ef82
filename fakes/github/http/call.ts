// One request to the API as a route sees it, and what a route gives back.
import type { Account, App, Repository, Role } from '../state/entities.ts';
import type { Json } from '../state/json.ts';
import {
  findMovedRepository,
  findRepository,
  installationCovers,
  installationOf,
  isAtLeast,
  roleOf,
} from '../state/lookup.ts';
import { forbidden, notFound, Refusal } from '../state/refusal.ts';
import { mustGet, type World } from '../state/world.ts';
import type { Principal } from './principal.ts';
import type { RateLimits } from './rate-limits.ts';

export interface Call {
  readonly world: World;
  readonly limits: RateLimits;
  readonly principal: Principal;
  readonly method: string;
  /** Without the query and the API's prefix. */
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: Json | undefined;
}

export interface Answer {
  readonly status: number;
  /** Null for none. */
  readonly body: Json | null;
  readonly headers?: Readonly<Record<string, string>>;
}

export type Route = (call: Call) => Answer | Promise<Answer>;

/** `METHOD /path/{name}` → what answers it. */
export type Routes = Readonly<Record<string, Route>>;

export const ok = (body: Json): Answer => ({ status: 200, body });
export const created = (body: Json): Answer => ({ status: 201, body });
export const nothing: Answer = { status: 204, body: null };

export const param = ({ params }: Call, name: string): string =>
  mustGet(new Map(Object.entries(params)), name);

export const idParam = (call: Call, name: string): number => Number(param(call, name));

/** One page of a list, and the links to the others. */
export const takePage = <T>(
  { world, query, path }: Call,
  all: readonly T[],
): { readonly items: readonly T[]; readonly headers: Record<string, string> } => {
  const perPage = Math.min(100, Math.max(1, Number(query.get('per_page') ?? 30)));
  const page = Math.max(1, Number(query.get('page') ?? 1));
  const last = Math.max(1, Math.ceil(all.length / perPage));
  const link = (to: number, relation: string): string => {
    const parameters = new URLSearchParams(query);
    parameters.set('page', `${to}`);
    return `<${world.urls.api}${path}?${parameters.toString()}>; rel="${relation}"`;
  };
  const links = [
    ...(page > 1 ? [link(page - 1, 'prev')] : []),
    ...(page < last ? [link(page + 1, 'next'), link(last, 'last')] : []),
    ...(page > 1 ? [link(1, 'first')] : []),
  ];
  const items = all.slice((page - 1) * perPage, page * perPage);
  return { items, headers: links.length === 0 ? {} : { link: links.join(', ') } };
};

export type Level = 'read' | 'write';

/** What an app needs for a request: one of these permissions at this level. */
export interface Need {
  readonly any: readonly string[];
  readonly level: Level;
}

const grants = (permissions: Readonly<Record<string, string>>, { any, level }: Need): boolean =>
  any.some((name) => {
    // Every app may read metadata.
    const held = name === 'metadata' ? 'read' : permissions[name];
    return held === 'admin' || held === 'write' || (held === 'read' && level === 'read');
  });

const checkInstallation = (
  principal: Extract<Principal, { kind: 'installation' }>,
  repository: Repository,
  need: Need,
): void => {
  const { installation, token } = principal;
  const covers =
    installationCovers(installation, repository) &&
    (token.repositoryIds === null || token.repositoryIds.has(repository.id));
  if (!covers && repository.private) throw notFound();
  if (!covers && need.level === 'read') return;
  if (!covers || !grants(token.permissions, need)) throw forbidden();
};

const checkUser = (world: World, user: Account, { repository, need }: Wanted): void => {
  const role: Role = roleOf(world, repository, user);
  if (!isAtLeast(role, 'read')) throw notFound();
  if (need.level === 'write' && !isAtLeast(role, 'write'))
    throw forbidden('Must have push access to repository');
};

/** What an app does for a person it may not do where it is not installed, nor beyond what it was allowed there. */
const checkOnBehalf = (world: World, app: App, { repository, need }: Wanted): void => {
  const installation = installationOf(world, app, repository);
  if (installation === null) {
    if (repository.private) throw notFound();
    if (need.level === 'write') throw forbidden();
  } else if (!grants(installation.permissions, need) && (repository.private || need.level === 'write'))
    throw forbidden();
};

interface Wanted {
  readonly repository: Repository;
  readonly need: Need;
}

const checkAccess = ({ world, principal }: Call, wanted: Wanted): void => {
  const { repository, need } = wanted;
  switch (principal.kind) {
    case 'nobody':
      if (repository.private) throw notFound();
      if (need.level === 'write') throw new Refusal(401, 'Requires authentication');
      return;
    case 'app':
      throw repository.private ? notFound() : forbidden();
    case 'installation':
      return checkInstallation(principal, repository, need);
    case 'user':
      checkUser(world, principal.user, wanted);
      if (principal.app !== null) checkOnBehalf(world, principal.app, wanted);
  }
};

/** The repository that the path names, if whoever asks may do that with it. */
export const openRepository = (call: Call, need: Need): Repository => {
  const [owner, name] = [param(call, 'owner'), param(call, 'repo')];
  const found = findRepository(call.world, owner, name);
  if (found !== null) {
    checkAccess(call, { repository: found, need });
    return found;
  }
  const moved = findMovedRepository(call.world, owner, name);
  if (moved === null) throw notFound();
  checkAccess(call, { repository: moved, need });
  const rest = call.path.split('/').slice(4).join('/');
  const search = call.query.size === 0 ? '' : `?${call.query.toString()}`;
  const location = `${call.world.urls.api}/repositories/${moved.id}${rest === '' ? '' : `/${rest}`}${search}`;
  throw new Refusal(call.method === 'GET' ? 301 : 307, 'Moved Permanently', { headers: { location } });
};

/** Whose name stands on what this request makes. */
export const actorOf = ({ world, principal }: Call): { readonly by: Account; readonly app: App | null } => {
  switch (principal.kind) {
    case 'installation':
      return { by: mustGet(world.accounts, principal.app.botId), app: principal.app };
    case 'user':
      return { by: principal.user, app: principal.app };
    case 'app':
    case 'nobody':
      throw new Refusal(401, 'Requires authentication');
  }
};

/** @throws Refusal where an app has to sign and did not */
export const appOf = ({ principal }: Call): App => {
  if (principal.kind !== 'app') throw new Refusal(401, 'A JSON web token could not be decoded');
  return principal.app;
};
