// How often one address may ask: so much that no reader meets it, so little that nobody keeps the server busy alone.
import { isIP } from 'node:net';
import { fastifyRateLimit, normalizeIP } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { HttpError } from './errors.ts';
import { isOperator } from './operator.ts';

export interface RateLimits {
  /** GET and HEAD. */
  readonly readsPerMinute: number;
  /** All other methods; and what one user changes, from however many addresses. */
  readonly writesPerMinute: number;
  /** Each of the two steps of signing in. @default 30 */
  readonly signInsPerMinute?: number;
}

export const defaultLimits: Required<RateLimits> = {
  readsPerMinute: 6000,
  writesPerMinute: 120,
  signInsPerMinute: 30,
};
/** What is remembered of more than so many is forgotten, the least lately met first. */
const addressesRemembered = 10_000;

const isRead = ({ method }: FastifyRequest): boolean => method === 'GET' || method === 'HEAD';

/**
 * Of IPv6 the network, since a client has all 2^64 addresses of its own; of IPv4 in IPv6 clothes the IPv4 address. A
 * connection that is gone already has none, and a proxy may send any text.
 */
export const addressOf = ({ ip }: FastifyRequest): string =>
  isIP(ip ?? '') === 0 ? 'unknown' : normalizeIP(ip.replace(/%.*$/, ''));

/** Holds for every route that is added afterwards, and not for who came over the unix socket. */
export const limitRates = async (
  app: FastifyInstance,
  { readsPerMinute, writesPerMinute }: RateLimits = defaultLimits,
): Promise<void> => {
  const maxOf = (request: FastifyRequest): number => (isRead(request) ? readsPerMinute : writesPerMinute);
  await app.register(fastifyRateLimit, {
    timeWindow: 60_000,
    cache: addressesRemembered,
    max: maxOf,
    keyGenerator: (request) => `${isRead(request) ? 'read' : 'write'} ${addressOf(request)}`,
    allowList: isOperator,
    enableDraftSpec: true,
    addHeadersOnExceeding: {
      'ratelimit-limit': false,
      'ratelimit-remaining': false,
      'ratelimit-reset': false,
    },
    errorResponseBuilder: (request, { ttl }) =>
      new HttpError(
        'RATE_LIMITED',
        `this address may ask ${maxOf(request)} times a minute: try again in ${Math.ceil(ttl / 1000)} s`,
      ),
  });
};

/** For the `config` of a route, beside what all routes have: each one costs a row, and a question to a forge. */
export const limitSignIns = ({ signInsPerMinute }: Pick<RateLimits, 'signInsPerMinute'> = {}) => {
  const max = signInsPerMinute ?? defaultLimits.signInsPerMinute;
  return {
    max,
    errorResponseBuilder: (_request: FastifyRequest, { ttl }: { readonly ttl: number }) =>
      new HttpError(
        'RATE_LIMITED',
        `this address may sign in ${max} times a minute: try again in ${Math.ceil(ttl / 1000)} s`,
      ),
  };
};
