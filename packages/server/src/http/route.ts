// What the files in routes/ share: the type of the app they add to, and how a route tells which errors it has.
import { ErrorBody } from '@eka-ci/protocol/error';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
  RouteOptions,
} from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import type { ZodType } from 'zod';
import type { HttpDeps } from './http-options.ts';
import type { SummaryReader } from './summary/summary-reader.ts';

export type ApiApp = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>;

const notSet = (): never => {
  throw new Error('a route was added before the compilers were set');
};

/** For the making of an app: Fastify then does not load compilers of its own, which are as much code as all its rest. */
export const withoutCompilers = { compilersFactory: { buildValidator: notSet, buildSerializer: notSet } };

/** Requests and answers are checked by the schemas that the protocol has. */
export const compileWithZod = (
  app: Pick<FastifyInstance, 'setValidatorCompiler' | 'setSerializerCompiler'>,
): void => {
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
};

/** What is described of a route. */
export type DescribedRoute = Pick<RouteOptions, 'method' | 'url' | 'schema'>;

const jsonError = { content: { 'application/json': { schema: ErrorBody } } };

export const badRequest = { 400: { description: 'A parameter is not of its form', ...jsonError } };
export const notFound = { 404: { description: 'There is no such thing', ...jsonError } };
export const notKnown = {
  401: { description: 'Nobody is signed in, or the token is none', ...jsonError },
};
export const forgeUnavailable = {
  502: { description: 'The forge cannot be asked now', ...jsonError },
};
export const unauthorized = { 401: { description: 'The bearer token is missing or wrong', ...jsonError } };
/** Of what changes something: who asks is not known, or may not. */
export const forbidden = {
  ...notKnown,
  403: { description: 'Only for admins, or for who may write to the repository', ...jsonError },
};
export const conflict = { 409: { description: 'Not in the state that it is in', ...jsonError } };
export const unjudgeable = {
  422: { description: 'The repository cannot be read, or has no such commit', ...jsonError },
};
export const tooMany = { 429: { description: 'Too many wait already', ...jsonError } };
export const gone = { 410: { description: 'It was removed, being older than it is kept', ...jsonError } };
export const noRoom = { 507: { description: "The server's disk is too full", ...jsonError } };
export const notReady = { 503: { description: 'The server starts or ends', ...jsonError } };
export const rangeNotSatisfiable = {
  416: { description: 'The range begins after the end', ...jsonError },
};

/** A successful JSON answer. */
export const answers = <Schema extends ZodType>(description: string, schema: Schema) => ({
  200: { description, content: { 'application/json': { schema } } },
});

/** A successful JSON answer to what will be done. */
export const accepted = <Schema extends ZodType>(description: string, schema: Schema) => ({
  202: { description, content: { 'application/json': { schema } } },
});

/** What routes are given beside what the app is given. */
export interface RouteDeps extends HttpDeps {
  readonly summaries: SummaryReader;
  /** The OpenAPI document. */
  readonly describe: () => Promise<object>;
}
