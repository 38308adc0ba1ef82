// The metrics, for who holds the token, for admins, and over the unix socket.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Secret } from '../../config/secret.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { createServerMetrics } from '../metrics.ts';
import { type ApiApp, unauthorized } from '../route.ts';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Takes the same time whatever was offered, its length included. */
const isSame = (offered: string, token: string): boolean => timingSafeEqual(digest(offered), digest(token));

const checkRight = async (request: FastifyRequest, { access, options }: HttpDeps): Promise<void> => {
  const caller = await access.callerOf(request);
  if (caller.kind === 'socket' || (caller.kind === 'user' && caller.isAdmin)) return;
  const token: Secret | null = options.metricsToken;
  const offered = /^Bearer +([^\s]+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (token !== null && offered !== undefined && isSame(offered, token.reveal())) return;
  throw new HttpError(
    'TOKEN_REQUIRED',
    token === null
      ? 'the metrics are open over the unix socket alone: set web.metrics_token to open them here'
      : 'send the token of web.metrics_token: "Authorization: Bearer <token>"',
  );
};

export const addMetricsRoutes = (app: ApiApp, deps: HttpDeps): void => {
  const metrics = createServerMetrics(deps);
  app.addHook('onResponse', async (request, reply) => {
    metrics.observe(request.method, request.routeOptions.url ?? 'none', {
      status: reply.statusCode,
      durationMs: reply.elapsedTime,
    });
  });
  app.addHook('onClose', async () => metrics.close());
  for (const [url, operationId] of [
    ['/v1/metrics', 'getMetrics'],
    ['/metrics', 'getMetricsForPrometheus'],
  ] as const) {
    app.get(
      url,
      {
        schema: {
          operationId,
          summary: 'Metrics in the text format of Prometheus',
          description: 'Admins, and who came over the unix socket, need no token for it.',
          tags: ['operations'],
          security: [{ metricsToken: [] }],
          response: {
            200: {
              description: 'All metrics',
              content: { 'text/plain; version=0.0.4; charset=utf-8': { schema: z.string() } },
            },
            ...unauthorized,
          },
        },
      },
      async (request, reply) => {
        await checkRight(request, deps);
        reply.header('content-type', metrics.contentType).header('cache-control', 'no-store');
        return await metrics.read();
      },
    );
  }
};
