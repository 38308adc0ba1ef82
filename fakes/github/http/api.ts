// One request to the REST API from its first byte to its answer: faults, who asks, limits, the document, the route.
import { createHash } from 'node:crypto';
import type { ApiDocument, Operation } from '../api/document.ts';
import type { Json, JsonObject } from '../state/json.ts';
import { fullNameOf } from '../state/lookup.ts';
import { notFound, Refusal } from '../state/refusal.ts';
import type { World } from '../state/world.ts';
import type { Answer, Call, Routes } from './call.ts';
import type { Journal, RequestRecord } from './journal.ts';
import { createMatcher } from './match-path.ts';
import { namePrincipal, type Principal, readPrincipal, requesterOf } from './principal.ts';
import { type RateLimits, rateHeaders } from './rate-limits.ts';

export interface ApiRequest {
  readonly method: string;
  /** Without the API's prefix, with the query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
  readonly record: RequestRecord;
}

export interface ApiDeps {
  readonly world: World;
  readonly document: ApiDocument;
  readonly journal: Journal;
  readonly limits: RateLimits;
  readonly routes: Routes;
  /** Runs what changes something, one after the other. */
  readonly exclusively: <T>(task: () => Promise<T>) => Promise<T>;
}

/** What counts as content for the secondary limits. */
const createsContent = ({ method, path }: Operation): boolean =>
  (method === 'POST' || method === 'PUT') && path.startsWith('/repos/');

export const refusalBody = (refusal: Refusal, documentation: string): JsonObject => ({
  message: refusal.message,
  documentation_url: documentation,
  status: `${refusal.status}`,
  ...(refusal.errors === null ? {} : { errors: refusal.errors }),
});

const checkHeaders = (headers: ApiRequest['headers']): void => {
  if ((headers['user-agent'] ?? '') === '')
    throw new Refusal(
      403,
      'Request forbidden by administrative rules. Please make sure your request has a User-Agent header',
    );
  const version = headers['x-github-api-version'];
  if (version !== undefined && !/^(2022-11-28|2026-03-10)$/.test(version))
    throw new Refusal(400, `"${version}" is not a supported version`);
};

const parseBody = (body: string): Json | undefined => {
  if (body === '') return undefined;
  try {
    return JSON.parse(body) as Json;
  } catch {
    throw new Refusal(400, 'Problems parsing JSON');
  }
};

const etagOf = (body: Json): string =>
  `W/"${createHash('sha256').update(JSON.stringify(body)).digest('hex')}"`;

/** `/repositories/ID/…` is the same as `/repos/OWNER/NAME/…`: where GitHub leads after a repository moved. */
const nameRepository = (world: World, path: string): string => {
  const [, id, rest = ''] = /^\/repositories\/(\d+)(\/.*)?$/.exec(path) ?? [];
  if (id === undefined) return path;
  const repository = world.repositories.get(Number(id));
  // What there is not has a name that nobody has.
  return `/repos/${repository === undefined ? `-/${id}` : fullNameOf(world, repository)}${rest}`;
};

const permissionsHeader = (principal: Principal): Record<string, string> =>
  principal.kind === 'user' && principal.app === null ? { 'x-oauth-scopes': 'repo, read:org' } : {};

export const createApi = (deps: ApiDeps) => {
  const { world, document, journal, limits, routes, exclusively } = deps;
  const match = createMatcher(document.operations);

  const checkRequest = (operation: Operation, call: Call): void => {
    const what = `${call.method} ${call.path}`;
    const parts = { path: call.params, query: call.query, body: call.body };
    const { wrongPath, wrong, unknown } = document.findRequestProblems(operation, parts);
    if (unknown.length > 0) journal.record({ kind: 'unknown', what, problems: unknown });
    if (wrongPath.length > 0 || wrong.length > 0)
      journal.record({ kind: 'request', what, problems: [...wrongPath, ...wrong] });
    if (wrongPath.length > 0) throw notFound();
    if (wrong.length > 0) throw new Refusal(422, `Invalid request.\n\n${wrong.join('\n')}`);
  };

  const answerCall = async (operation: Operation, call: Call): Promise<Answer> => {
    checkRequest(operation, call);
    const route = routes[`${operation.method} ${operation.path}`];
    if (route === undefined) throw new Error(`the fake has no route for ${operation.path}`);
    if (createsContent(operation)) limits.takeCreation(requesterOf(call.principal));
    return operation.method === 'GET' ? route(call) : exclusively(async () => route(call));
  };

  const checkAnswer = (operation: Operation, what: string, answer: Answer): Answer => {
    const problems = document.findAnswerProblems(operation, answer.status, answer.body);
    if (problems.length === 0) return answer;
    journal.record({ kind: 'answer', what, problems });
    const message = `the fake's own answer violates GitHub's document: ${problems.join('; ')}`;
    return { status: 500, body: { message, documentation_url: operation.documentation } };
  };

  /** Everything that can be said no to, with the answer that says it. */
  const attempt = async (documentation: string, task: () => Promise<Answer> | Answer): Promise<Answer> => {
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { status: error.status, body: refusalBody(error, documentation), headers: error.headers };
    }
  };

  const withCaching = (request: ApiRequest, principal: Principal, answer: Answer): Answer => {
    if (request.method !== 'GET' || answer.status !== 200) return answer;
    const etag = etagOf(answer.body);
    const headers = { ...answer.headers, etag, 'cache-control': 'private, max-age=60, s-maxage=60' };
    const asked = request.headers['if-none-match'];
    if (asked?.split(/,\s*/).includes(etag) !== true) return { ...answer, headers };
    const rate = principal.kind === 'nobody' ? {} : rateHeaders(limits.giveBack(requesterOf(principal)));
    return { status: 304, body: null, headers: { ...headers, ...rate } };
  };

  const answerAs = async (request: ApiRequest, principal: Principal): Promise<Answer> => {
    const { pathname, searchParams } = new URL(request.url, 'http://fake.invalid');
    const path = nameRepository(world, pathname);
    const what = `${request.method} ${path}`;
    const matched = match(request.method, path);
    if (matched === null) {
      journal.record({ kind: 'unknown', what, problems: ['the fake has no such route'] });
      throw notFound();
    }
    const { operation, params } = matched;
    const who = requesterOf(principal);
    const rate = operation.path === '/rate_limit' ? limits.read(who) : limits.take(who);
    const answer = await attempt(operation.documentation, async () => {
      const body = parseBody(request.body);
      request.record.body = body ?? null;
      const { method } = request;
      const call = { world, limits, principal, method, path, params, query: searchParams, body };
      return checkAnswer(operation, what, await answerCall(operation, call));
    });
    const checked = answer.status >= 400 ? checkAnswer(operation, what, answer) : answer;
    const headers = { ...rateHeaders(rate), ...permissionsHeader(principal), ...checked.headers };
    return withCaching(request, principal, { ...checked, headers });
  };

  return (request: ApiRequest): Promise<Answer> =>
    attempt('https://docs.github.com/rest', () => {
      checkHeaders(request.headers);
      const principal = readPrincipal(world, request.headers['authorization']);
      request.record.principal = namePrincipal(principal);
      return answerAs(request, principal);
    });
};
