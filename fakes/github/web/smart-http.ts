// Clone, fetch and push over HTTP: git's own `http-backend` behind GitHub's rules on who may.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import { startChild } from '@eka-ci/process';
import { ghost } from '../actions/accounts.ts';
import { noticeBranches } from '../actions/push.ts';
import { type Principal, readPrincipal } from '../http/principal.ts';
import type { Account, Repository } from '../state/entities.ts';
import {
  findMovedRepository,
  findRepository,
  installationCovers,
  isAtLeast,
  roleOf,
} from '../state/lookup.ts';
import { Refusal } from '../state/refusal.ts';
import { mustGet, type World } from '../state/world.ts';

export interface GitRequest {
  readonly owner: string;
  readonly name: string;
  /** `/info/refs`, `/git-upload-pack` or `/git-receive-pack`. */
  readonly service: string;
  readonly query: URLSearchParams;
}

/** `/owner/name.git/info/refs` and its like; null for anything else. */
export const readGitRequest = (url: URL): GitRequest | null => {
  const found = /^\/([^/]+)\/([^/]+?)(?:\.git)?(\/info\/refs|\/git-upload-pack|\/git-receive-pack)$/.exec(
    url.pathname,
  );
  if (found === null) return null;
  const [, owner = '', name = '', service = ''] = found;
  return { owner, name, service, query: url.searchParams };
};

const isPush = ({ service, query }: GitRequest): boolean =>
  service === '/git-receive-pack' || query.get('service') === 'git-receive-pack';

const mayDo = (
  world: World,
  principal: Principal,
  wanted: { readonly repository: Repository; readonly push: boolean },
): boolean => {
  const { repository, push } = wanted;
  if (principal.kind === 'user')
    return isAtLeast(roleOf(world, repository, principal.user), push ? 'write' : 'read');
  const isPublicRead = !push && !repository.private;
  if (principal.kind !== 'installation') return isPublicRead;
  const { installation, token } = principal;
  const covers =
    installationCovers(installation, repository) &&
    (token.repositoryIds === null || token.repositoryIds.has(repository.id));
  const contents = token.permissions['contents'];
  return isPublicRead || (covers && (contents === 'write' || (contents === 'read' && !push)));
};

const askForPassword = (): Refusal =>
  new Refusal(401, 'Repository not found.', { headers: { 'www-authenticate': 'Basic realm="GitHub"' } });

/** @throws Refusal, in the way that makes git ask for a password where one could help */
const openForGit = (
  world: World,
  request: GitRequest,
  authorization: string | undefined,
): { readonly repository: Repository; readonly by: Account } => {
  const principal = readPrincipal(world, authorization);
  const push = isPush(request);
  const found = findRepository(world, request.owner, request.name);
  const moved = found ?? findMovedRepository(world, request.owner, request.name);
  if (moved === null || !mayDo(world, principal, { repository: moved, push }))
    throw principal.kind === 'nobody'
      ? askForPassword()
      : new Refusal(moved === null || moved.private ? 404 : 403, 'Repository not found.');
  if (found === null) {
    const owner = mustGet(world.accounts, moved.ownerId).login;
    const search = request.query.size === 0 ? '' : `?${request.query.toString()}`;
    const location = `${world.urls.web}/${owner}/${moved.name}.git${request.service}${search}`;
    throw new Refusal(301, 'Moved Permanently', { headers: { location } });
  }
  if (principal.kind === 'user') return { repository: found, by: principal.user };
  const by = principal.kind === 'installation' ? mustGet(world.accounts, principal.app.botId) : ghost(world);
  return { repository: found, by };
};

const header = (request: IncomingMessage, name: string): string => {
  const value = request.headers[name];
  return typeof value === 'string' ? value : '';
};

const environment = (
  world: World,
  message: IncomingMessage,
  given: { readonly repository: Repository; readonly request: GitRequest; readonly by: Account },
) => ({
  ...world.git.env,
  GIT_PROJECT_ROOT: dirname(given.repository.folder),
  GIT_HTTP_EXPORT_ALL: '1',
  PATH_INFO: `/${given.repository.id}.git${given.request.service}`,
  QUERY_STRING: given.request.query.toString(),
  REQUEST_METHOD: message.method ?? 'GET',
  CONTENT_TYPE: header(message, 'content-type'),
  HTTP_CONTENT_ENCODING: header(message, 'content-encoding'),
  GIT_PROTOCOL: header(message, 'git-protocol'),
  REMOTE_USER: given.by.login,
  ...(message.headers['content-length'] === undefined
    ? {}
    : { CONTENT_LENGTH: message.headers['content-length'] }),
});

/** Splits what a CGI program says into its headers and the rest; leaves the answer open. */
const relay = async (output: AsyncIterable<unknown>, response: ServerResponse): Promise<void> => {
  let pending = Buffer.alloc(0);
  for await (const chunk of output) {
    if (response.headersSent) {
      response.write(chunk);
      continue;
    }
    pending = Buffer.concat([pending, chunk as Buffer]);
    const end = pending.indexOf('\r\n\r\n');
    if (end === -1) continue;
    const lines = pending.subarray(0, end).toString('latin1').split('\r\n');
    const headers = lines.map((line) => line.split(/: (.*)/s).slice(0, 2) as [string, string]);
    const status = headers.find(([name]) => name === 'Status')?.[1];
    response.writeHead(
      status === undefined ? 200 : Number.parseInt(status, 10),
      Object.fromEntries(headers.filter(([name]) => name !== 'Status')),
    );
    response.write(pending.subarray(end + 4));
  }
};

export interface GitExchange {
  readonly request: GitRequest;
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly exclusively: <T>(task: () => Promise<T>) => Promise<T>;
}

/** Answers one request of git's. @throws Refusal before anything was answered */
export const serveGit = async (world: World, exchange: GitExchange): Promise<void> => {
  const { request, message, response, exclusively } = exchange;
  const { repository, by } = openForGit(world, request, message.headers.authorization);
  const serve = async (): Promise<void> => {
    const child = await startChild({
      command: 'git',
      args: ['http-backend'],
      env: environment(world, message, { repository, request, by }),
      keepStdinOpen: true,
      onOwnerDeath: 'SIGTERM',
    });
    child.stderr.resume();
    if (child.stdin !== null) message.pipe(child.stdin);
    response.once('close', () => child.end());
    await relay(child.stdout, response);
    await child.exited;
  };
  if (request.service === '/git-receive-pack')
    await exclusively(async () => {
      await serve();
      await noticeBranches(world, repository, by);
    });
  else await serve();
  // Whoever pushed has their answer when all that follows from it has happened.
  response.end();
};
