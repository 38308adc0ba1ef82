// The only map from what went wrong to what is answered. A fault of the server is told to the operator, never to the
// one who asked.
import type { ErrorBody } from '@eka-ci/protocol/error';
import { type FastifyReply, type FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { errorCodeOf } from '../lib/error-code.ts';
import type { RequestFault } from './http-options.ts';
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
  /** 401: the metrics need the bearer token of `web.metrics_token`, or the unix socket. */
  | 'TOKEN_REQUIRED'
  /** 404: there is no such address. */
  | 'ROUTE_NOT_FOUND'
  /** 404: no evaluation met this derivation so far. */
  | 'DRV_NOT_FOUND'
  /** 404: the derivation was not tried that often. */
  | 'ATTEMPT_NOT_FOUND'
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
  /** 404: the summary has no job of that name. */
  | 'SUMMARY_JOB_NOT_FOUND'
  /** 405: the address is right, the method is not; `Allow` names those that are. */
  | 'METHOD_NOT_ALLOWED'
  /** 408: the request took too long to arrive. */
  | 'REQUEST_TIMEOUT'
  /** 413: the body is larger than the server takes. */
  | 'BODY_TOO_LARGE'
  /** 414: a part of the address is longer than any name. */
  | 'ADDRESS_TOO_LONG'
  /** 415: the body's `Content-Type` is none that the address takes. */
  | 'MEDIA_TYPE_UNSUPPORTED'
  /** 416: the range begins after the end of the log. */
  | 'RANGE_NOT_SATISFIABLE'
  /** 431: the headers are larger than the server takes. */
  | 'HEADERS_TOO_LARGE'
  /** 500: a fault of the server, which its log tells of. */
  | 'SERVER_FAULT'
  /** 503: the server starts, ends, or waits for its database; try again. */
  | 'SERVER_NOT_READY';

const statusOf: Readonly<Record<HttpErrorCode, number>> = {
  REQUEST_INVALID: 400,
  PATH_INVALID: 400,
  DRV_INVALID: 400,
  CURSOR_INVALID: 400,
  TOKEN_REQUIRED: 401,
  ROUTE_NOT_FOUND: 404,
  DRV_NOT_FOUND: 404,
  ATTEMPT_NOT_FOUND: 404,
  LOG_NOT_FOUND: 404,
  REPOSITORY_NOT_FOUND: 404,
  CHANGE_NOT_FOUND: 404,
  COMMIT_NOT_FOUND: 404,
  SUMMARY_NOT_FOUND: 404,
  SUMMARY_JOB_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  BODY_TOO_LARGE: 413,
  ADDRESS_TOO_LONG: 414,
  MEDIA_TYPE_UNSUPPORTED: 415,
  RANGE_NOT_SATISFIABLE: 416,
  HEADERS_TOO_LARGE: 431,
  SERVER_FAULT: 500,
  SERVER_NOT_READY: 503,
};

type Details = NonNullable<ErrorBody['error']['details']>;

/** Thrown by a route for an answer that is not a success; its message is sent. */
export class HttpError extends Error {
  readonly code: HttpErrorCode;
  readonly details: Details | undefined;
  constructor(code: HttpErrorCode, message: string, options?: ErrorOptions & { details?: Details }) {
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
  status: statusOf[error.code],
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
