// The metrics, for who holds the token or came over the unix socket.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Secret } from '../../config/secret.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { createServerMetrics } from '../metrics.ts';
import { isOperator } from '../operator.ts';
import { type ApiApp, unauthorized } from '../route.ts';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Takes the same time whatever was offered, its length included. */
const isSame = (offered: string, token: string): boolean => timingSafeEqual(digest(offered), digest(token));

const checkRight = (request: FastifyRequest, token: Secret | null): void => {
  if (isOperator(request)) return;
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
          description: 'Over the unix socket no token is needed.',
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
        checkRight(request, deps.options.metricsToken);
        reply.header('content-type', metrics.contentType).header('cache-control', 'no-store');
        return await metrics.read();
      },
    );
  }
};
