// The only map from what went wrong to what is answered. A fault of the server is told to the operator, never to the
// one who asked.
import type { ErrorBody } from '@eka-ci/protocol/error';
import { type FastifyReply, type FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import type { GitErrorCode } from '../git/git.ts';
import { errorCodeOf } from '../lib/error-code.ts';
import { setSecurityHeaders } from './security-headers.ts';

export type HttpErrorCode =
  /** 400: a parameter is missing, unknown, or not of its form; `details` says which. */
  | 'REQUEST_INVALID'
  /** 400: the address holds `..`, a NUL, or an encoding that cannot be read. */
  | 'PATH_INVALID'
  /** 400: `{drv}` is not `hash-name.drv`. */
  | 'DRV_INVALID'
  /** 400: `cursor` is none that the server gave. */
  | 'CURSOR_INVALID'
  /** 400: a sign-in came back too late, twice, or to another question than it was asked. */
  | 'SIGN_IN_FAILED'
  /** 401: the metrics need the bearer token of `web.metrics_token`, or the unix socket. */
  | 'TOKEN_REQUIRED'
  /** 401: nobody is signed in, and this is not for everybody. */
  | 'SIGN_IN_REQUIRED'
  /** 401: the API token is unknown, was removed, or has expired. */
  | 'API_TOKEN_UNKNOWN'
  /** 401: the webhook does not prove that it comes from the forge: give both the same secret. */
  | 'WEBHOOK_UNPROVEN'
  /** 403: only admins, and who can open the server's unix socket, may do this. */
  | 'OPERATOR_REQUIRED'
  /** 403: only admins, and who may write to the change's repository, may do this. */
  | 'WRITE_ACCESS_REQUIRED'
  /** 403: an API token makes no others: sign in with a browser. */
  | 'SESSION_REQUIRED'
  /** 403: a page of another origin asked for something in the name of who looks at it, or for a live connection. */
  | 'ORIGIN_REFUSED'
  /** 403: whoever was asked at the forge did not want to sign in. */
  | 'SIGN_IN_DENIED'
  /** 404: there is no such address. */
  | 'ROUTE_NOT_FOUND'
  /** 404: no evaluation met this derivation so far. */
  | 'DRV_NOT_FOUND'
  /** 404: the store of the server does not have this derivation. */
  | 'DRV_NOT_IN_STORE'
  /** 404: nobody ordered a build under this id, or it is long done. */
  | 'BUILD_ORDER_NOT_FOUND'
  /** 404: the derivation was not tried that often. */
  | 'ATTEMPT_NOT_FOUND'
  /** 404: no check was run under this id, or it was long ago. */
  | 'CHECK_NOT_FOUND'
  /** 404: nothing was logged, or the log is removed. */
  | 'LOG_NOT_FOUND'
  /** 404: no repository of that name is configured. */
  | 'REPOSITORY_NOT_FOUND'
  /** 404: the repository has no change of that number. */
  | 'CHANGE_NOT_FOUND'
  /** 404: the commit is the head of no change. */
  | 'COMMIT_NOT_FOUND'
  /** 404: the change is not judged yet, or not against that base. */
  | 'SUMMARY_NOT_FOUND'
  /** 404: nothing was submitted under this id. */
  | 'REVIEW_NOT_FOUND'
  /** 404: the summary has no job of that name. */
  | 'SUMMARY_JOB_NOT_FOUND'
  /** 404: no judged change has a job of that id. */
  | 'JUDGED_JOB_NOT_FOUND'
  /** 404: the judged change has no attribute of that name. */
  | 'ATTRIBUTE_NOT_FOUND'
  /** 404: nobody can sign in: the server has no `oauth.client_id`. */
  | 'SIGN_IN_OFF'
  /** 404: nobody of that login has signed in. */
  | 'USER_NOT_FOUND'
  /** 404: nobody of that id was approved for good. */
  | 'APPROVED_USER_NOT_FOUND'
  /** 404: no cache of that name is configured. */
  | 'CACHE_NOT_FOUND'
  /** 409: whoever offers the change is not known, so nobody can be approved for good. */
  | 'AUTHOR_UNKNOWN'
  /** 404: they have no API token of that id. */
  | 'API_TOKEN_NOT_FOUND'
  /** 404: they are no maintainer of that attribute by the server's own table. */
  | 'MAINTAINER_NOT_FOUND'
  /** 404: nobody asked to be a maintainer under this id. */
  | 'MAINTAINER_REQUEST_NOT_FOUND'
  /** 405: the address is right, the method is not; `Allow` names those that are. */
  | 'METHOD_NOT_ALLOWED'
  /** 408: the request took too long to arrive. */
  | 'REQUEST_TIMEOUT'
  /** 409: the change is not in a state in which that can be done. */
  | 'CHANGE_NOT_READY'
  /** 409: the repository does not allow that way to merge. */
  | 'MERGE_METHOD_FORBIDDEN'
  /** 409: as many requests to be a maintainer wait of one person as may. */
  | 'MAINTAINER_REQUESTS_EXCEEDED'
  /** 409: the id is that of another request. */
  | 'REQUEST_ID_TAKEN'
  /** 409: the id is that of another change. */
  | 'REVIEW_ID_TAKEN'
  /** 409: who signed in has as many API tokens as there may be: remove some. */
  | 'API_TOKENS_EXCEEDED'
  /** 409: the configuration lists them among the admins, and only there can they be taken out. */
  | 'ADMIN_LISTED'
  /** 409: a copy of the database is being made already. */
  | 'BACKUP_RUNNING'
  /** 410: the log is older than `retention.build_log_days`, and was removed. */
  | 'LOG_EXPIRED'
  /** 413: the body is larger than the server takes. */
  | 'BODY_TOO_LARGE'
  /** 414: a part of the address is longer than any name. */
  | 'ADDRESS_TOO_LONG'
  /** 415: the body's `Content-Type` is none that the address takes. */
  | 'MEDIA_TYPE_UNSUPPORTED'
  /** 416: the range begins after the end of the log. */
  | 'RANGE_NOT_SATISFIABLE'
  /** 426: the address speaks WebSocket alone. */
  | 'UPGRADE_REQUIRED'
  /** 429: the address asks too often; `Retry-After` says when it may again. */
  | 'RATE_LIMITED'
  /** 431: the headers are larger than the server takes. */
  | 'HEADERS_TOO_LARGE'
  /** 429: too many ordered builds wait. */
  | 'TOO_MANY_BUILDS'
  /** 500: a fault of the server, which its log tells of. */
  | 'SERVER_FAULT'
  /** 502: the forge cannot be asked now who somebody is, or what they may do. */
  | 'FORGE_UNAVAILABLE'
  /** 503: there are as many live connections, in all or of one address, as there may be. */
  | 'LIVE_CONNECTIONS_EXCEEDED'
  /** 503: the server starts, ends, or waits for its database; try again. */
  | 'SERVER_NOT_READY'
  /** 507: the server's disk has no room for a copy of its database. */
  | 'BACKUP_NO_ROOM';

const statusOf: Readonly<Record<HttpErrorCode, number>> = {
  REQUEST_INVALID: 400,
  PATH_INVALID: 400,
  DRV_INVALID: 400,
  CURSOR_INVALID: 400,
  SIGN_IN_FAILED: 400,
  TOKEN_REQUIRED: 401,
  SIGN_IN_REQUIRED: 401,
  API_TOKEN_UNKNOWN: 401,
  WEBHOOK_UNPROVEN: 401,
  OPERATOR_REQUIRED: 403,
  WRITE_ACCESS_REQUIRED: 403,
  SESSION_REQUIRED: 403,
  ORIGIN_REFUSED: 403,
  SIGN_IN_DENIED: 403,
  ROUTE_NOT_FOUND: 404,
  DRV_NOT_FOUND: 404,
  DRV_NOT_IN_STORE: 404,
  BUILD_ORDER_NOT_FOUND: 404,
  ATTEMPT_NOT_FOUND: 404,
  CHECK_NOT_FOUND: 404,
  LOG_NOT_FOUND: 404,
  REPOSITORY_NOT_FOUND: 404,
  CHANGE_NOT_FOUND: 404,
  COMMIT_NOT_FOUND: 404,
  SUMMARY_NOT_FOUND: 404,
  REVIEW_NOT_FOUND: 404,
  SUMMARY_JOB_NOT_FOUND: 404,
  JUDGED_JOB_NOT_FOUND: 404,
  ATTRIBUTE_NOT_FOUND: 404,
  SIGN_IN_OFF: 404,
  USER_NOT_FOUND: 404,
  API_TOKEN_NOT_FOUND: 404,
  MAINTAINER_NOT_FOUND: 404,
  MAINTAINER_REQUEST_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  APPROVED_USER_NOT_FOUND: 404,
  CACHE_NOT_FOUND: 404,
  AUTHOR_UNKNOWN: 409,
  CHANGE_NOT_READY: 409,
  MERGE_METHOD_FORBIDDEN: 409,
  MAINTAINER_REQUESTS_EXCEEDED: 409,
  REQUEST_ID_TAKEN: 409,
  REVIEW_ID_TAKEN: 409,
  API_TOKENS_EXCEEDED: 409,
  ADMIN_LISTED: 409,
  BACKUP_RUNNING: 409,
  LOG_EXPIRED: 410,
  BODY_TOO_LARGE: 413,
  ADDRESS_TOO_LONG: 414,
  MEDIA_TYPE_UNSUPPORTED: 415,
  RANGE_NOT_SATISFIABLE: 416,
  HEADERS_TOO_LARGE: 431,
  UPGRADE_REQUIRED: 426,
  RATE_LIMITED: 429,
  TOO_MANY_BUILDS: 429,
  SERVER_FAULT: 500,
  FORGE_UNAVAILABLE: 502,
  LIVE_CONNECTIONS_EXCEEDED: 503,
  SERVER_NOT_READY: 503,
  BACKUP_NO_ROOM: 507,
};

type Details = NonNullable<ErrorBody['error']['details']>;

/** Why a repository cannot be read for the one who named it, as far as that is not of their doing. */
const ownGitFaults: readonly GitErrorCode[] = [
  'GIT_NOT_INSTALLED',
  'GIT_TOO_OLD',
  'GIT_DISK_FULL',
  'GIT_READ_ONLY',
  'GIT_LOCKED',
  'GIT_FAILED',
];

const isOfGit = (code: HttpErrorCode | GitErrorCode): code is GitErrorCode => code.startsWith('GIT_');

/** 422: the request is understood, and the repository that it names is not fit for it. */
const statusFor = (code: HttpErrorCode | GitErrorCode): number => {
  if (!isOfGit(code)) return statusOf[code];
  return ownGitFaults.includes(code) ? 500 : 422;
};

/** Thrown by a route for an answer that is not a success; its message is sent. */
export class HttpError extends Error {
  readonly code: HttpErrorCode | GitErrorCode;
  readonly details: Details | undefined;
  constructor(
    code: HttpErrorCode | GitErrorCode,
    message: string,
    options?: ErrorOptions & { details?: Details },
  ) {
    super(message, options);
    this.name = 'HttpError';
    this.code = code;
    this.details = options?.details;
  }
}

export interface ErrorAnswer {
  readonly status: number;
  readonly body: ErrorBody;
}

export const answerOf = (error: HttpError): ErrorAnswer => ({
  status: statusFor(error.code),
  body: {
    error: {
      code: error.code,
      message: error.message,
      ...(error.details !== undefined && { details: error.details }),
    },
  },
});

const notNow = ['DATABASE_LOCKED', 'DATABASE_FULL', 'DATABASE_CLOSED'];

/** Fastify's own codes, and the database's that the asking one can do something about. */
const expressedAs: Readonly<Record<string, readonly [HttpErrorCode, string]>> = {
  DATABASE_BAD_CURSOR: ['CURSOR_INVALID', 'this cursor is not one of ours: start again without one'],
  FST_ERR_BAD_URL: ['PATH_INVALID', 'the address holds an encoding that cannot be read'],
  FST_ERR_MAX_PARAM_LENGTH: ['ADDRESS_TOO_LONG', 'a part of the address is longer than any name'],
  FST_ERR_CTP_BODY_TOO_LARGE: ['BODY_TOO_LARGE', 'the body is too large: send at most 1 MiB'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['MEDIA_TYPE_UNSUPPORTED', 'send application/json'],
};

const detailsOf = (error: unknown): Details | null => {
  if (!hasZodFastifySchemaValidationErrors(error)) return null;
  return error.validation.map(({ instancePath, message }) => ({
    path: instancePath.replace(/^\//, ''),
    message: message ?? 'is not valid',
  }));
};

const isRefusal = (error: unknown): error is Error & { statusCode: number } =>
  error instanceof Error &&
  'statusCode' in error &&
  typeof error.statusCode === 'number' &&
  error.statusCode >= 400 &&
  error.statusCode < 500;

/** What is answered to whatever was thrown. */
const asHttpError = (error: unknown): HttpError => {
  if (error instanceof HttpError) return error;
  const details = detailsOf(error);
  if (details !== null) {
    const named = details.map(({ path, message }) => `${path === '' ? 'it' : path}: ${message}`).join('; ');
    return new HttpError('REQUEST_INVALID', `the request is not valid: ${named}`, { details });
  }
  const code = errorCodeOf(error);
  const known = expressedAs[code];
  if (known !== undefined) return new HttpError(known[0], known[1], { cause: error });
  if (notNow.includes(code)) {
    return new HttpError('SERVER_NOT_READY', 'the database does not answer now: try again in a moment', {
      cause: error,
    });
  }
  if (isRefusal(error)) return new HttpError('REQUEST_INVALID', error.message, { cause: error });
  return new HttpError(
    'SERVER_FAULT',
    'the server failed to answer; its log says why. Try again, and tell its operator when it stays so',
    { cause: error },
  );
};

export interface RequestFault {
  readonly error: unknown;
  readonly method: string;
  /** The route's pattern, never the address that was asked for. */
  readonly route: string;
}

/** The handler of everything that a route, a parser or Fastify itself throws. */
export const createErrorHandler =
  (deps: { readonly onFault: (fault: RequestFault) => void; readonly behindTls: boolean }) =>
  (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const { status, body } = answerOf(asHttpError(error));
    if (status >= 500 && !(error instanceof HttpError)) {
      deps.onFault({ error, method: request.method, route: request.routeOptions.url ?? 'none' });
    }
    // Set here as well: what Fastify refuses before it has a route runs through no hook.
    setSecurityHeaders(reply, deps.behindTls);
    if (status === 503) reply.header('retry-after', '5');
    if (status === 401) reply.header('www-authenticate', 'Bearer realm="eka-ci"');
    reply
      .code(status)
      .header('content-type', 'application/json; charset=utf-8')
      .header('cache-control', 'no-store')
      // Already text: an error is answered in this shape whatever schema the route has for its status.
      .serializer((text: unknown) => String(text))
      .send(JSON.stringify(body));
  };
