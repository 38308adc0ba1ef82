// How often one address may ask: so much that no reader meets it, so little that nobody keeps the server busy alone.
import { isIP } from 'node:net';
import { fastifyRateLimit, normalizeIP } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { HttpError } from './errors.ts';
import { isOperator } from './operator.ts';

export interface RateLimits {
  /** GET and HEAD. */
  readonly readsPerMinute: number;
  /** All other methods. */
  readonly writesPerMinute: number;
}

const defaultLimits: RateLimits = { readsPerMinute: 6000, writesPerMinute: 120 };
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
