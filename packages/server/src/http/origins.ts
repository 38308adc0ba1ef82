// Which pages may have a browser do something here in its user's name: our own, and those of origins that the operator
// listed.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { HttpError } from './errors.ts';

export interface Origins {
  /** `web.allowed_origins`, spelled as browsers send them. */
  readonly allowed: readonly string[];
  /** Of `web.public_url`; null where people have no address of this server. */
  readonly own: string | null;
}

/** A page that this server itself sent, under whatever name the browser reached it. */
const isOfThisHost = (origin: string, host: string | undefined): boolean =>
  URL.canParse(origin) && new URL(origin).host === host?.toLowerCase();

export const isOwnOrAllowed = (origin: string, request: FastifyRequest, { allowed, own }: Origins): boolean =>
  origin === own || allowed.includes(origin) || isOfThisHost(origin, request.headers.host);

/**
 * A cookie comes along whatever page sent the browser here: that page has to be ours or allowed. Browsers say which it
 * is with every write; what says nothing is refused.
 * @throws HttpError ORIGIN_REFUSED
 */
export const requireKnownOrigin = (request: FastifyRequest, origins: Origins): void => {
  const { origin, 'sec-fetch-site': site } = request.headers;
  // A form of a page that tells nobody where it leads from has the origin `null`.
  const isUnnamed = origin === undefined || origin === 'null';
  if (isUnnamed ? site === 'same-origin' : isOwnOrAllowed(origin, request, origins)) return;
  throw new HttpError(
    'ORIGIN_REFUSED',
    'a page of another site may not do this in your name: if it is one of yours, list it in web.allowed_origins; ' +
      'programs show an API token',
  );
};

const methods = 'GET, HEAD, POST, PATCH, DELETE';
const preflightSeconds = '600';

const answerPreflight = (reply: FastifyReply): FastifyReply =>
  reply
    .code(204)
    .headers({
      'access-control-allow-methods': methods,
      'access-control-allow-headers': 'authorization, content-type, if-none-match, range',
      'access-control-max-age': preflightSeconds,
    })
    .send();

/** Lets scripts of the allowed origins read what we answer them (CORS); where none is allowed nothing is said of it. */
export const allowOrigins = (app: FastifyInstance, { allowed }: Origins): void => {
  if (allowed.length === 0) return;
  app.addHook('onSend', async (_request, reply) => {
    const others = reply.getHeader('vary');
    reply.header('vary', others === undefined ? 'Origin' : `${String(others)}, Origin`);
  });
  app.addHook('onRequest', async (request, reply) => {
    const { origin, 'access-control-request-method': asked } = request.headers;
    if (origin === undefined || !allowed.includes(origin)) return;
    reply.headers({
      'access-control-allow-origin': origin,
      'access-control-allow-credentials': 'true',
      'access-control-expose-headers': 'etag, retry-after, content-range',
    });
    if (request.method === 'OPTIONS' && asked !== undefined) return answerPreflight(reply);
  });
};
