// Live events over a WebSocket. OpenAPI has no words for those: docs/reference/live-events.md describes what is said.
import type { FastifyRequest } from 'fastify';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { isOperator } from '../operator.ts';
import { isOwnOrAllowed, type Origins } from '../origins.ts';
import { addressOf } from '../rate-limit.ts';
import type { ApiApp } from '../route.ts';
import { upgradeOf } from '../upgrade.ts';

/** A browser sends the cookies and the address of its user along, whatever page asked it to: only our own may, and those that are allowed. */
const checkOrigin = (request: FastifyRequest, origins: Origins): void => {
  const { origin } = request.headers;
  if (origin === undefined || isOwnOrAllowed(origin, request, origins)) return;
  throw new HttpError('ORIGIN_REFUSED', 'a page of another origin may not open live connections here');
};

export const addLiveRoutes = (app: ApiApp, { live, options, access }: HttpDeps): void => {
  app.get('/v1/ws/builds', { exposeHeadRoute: false, schema: { hide: true } }, async (request, reply) => {
    const upgrade = upgradeOf(request);
    if (upgrade === null) {
      reply.headers({ connection: 'upgrade', upgrade: 'websocket' });
      throw new HttpError(
        'UPGRADE_REQUIRED',
        'this address speaks WebSocket: connect to it with ws:// or wss://',
      );
    }
    checkOrigin(request, options.origins);
    const reading = await access.liveReadingOf(request);
    live.open(upgrade, isOperator(request) ? null : addressOf(request), reading);
    return reply.hijack();
  });
};
