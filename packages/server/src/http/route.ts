// What the files in routes/ share: the type of the app they add to, and how a route tells which errors it has.
import { ErrorBody } from '@eka-ci/protocol/error';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { ZodType } from 'zod';

export type ApiApp = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>;

const jsonError = { content: { 'application/json': { schema: ErrorBody } } };

export const badRequest = { 400: { description: 'A parameter is not of its form', ...jsonError } };
export const notFound = { 404: { description: 'There is no such thing', ...jsonError } };
export const unauthorized = { 401: { description: 'The bearer token is missing or wrong', ...jsonError } };
export const notReady = { 503: { description: 'The server starts or ends', ...jsonError } };
export const rangeNotSatisfiable = {
  416: { description: 'The range begins after the end', ...jsonError },
};

/** A successful JSON answer. */
export const answers = <Schema extends ZodType>(description: string, schema: Schema) => ({
  200: { description, content: { 'application/json': { schema } } },
});
