// Whether the server lives, whether it takes work, what it is, and what its API is.
import { Health, Readiness, ServerStatus } from '@eka-ci/protocol/operations';
import { z } from 'zod';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import { type ApiApp, answers, notReady, type RouteDeps } from '../route.ts';

const tags = ['operations'];

const readStatus = async (deps: HttpDeps): Promise<ServerStatus> => {
  const { status, builds, database, clock } = deps;
  const facts = status();
  const out = deps.builders.builders().map(({ outage }) => outage !== null);
  return {
    version: deps.version,
    ready: deps.isReady(),
    draining: facts.draining,
    startedAtMs: facts.startedAtMs,
    uptimeMs: Math.max(0, clock() - facts.startedAtMs),
    schemaVersion: await database.meta.schemaVersion(),
    nixVersion: facts.nixVersion,
    evaluator: facts.evaluator,
    systems: [...facts.systems],
    builds: {
      active: builds.active().length,
      queued: builds.queuedCount(),
      slots: facts.builds.slots,
    },
    builders: { up: out.filter((isOut) => !isOut).length, out: out.filter(Boolean).length },
    changes: { ...facts.changes },
    warnings: [...(await deps.upkeep.warnings())],
    repositories: [...deps.repositories()],
    caches: (await deps.pushes.queues()).map((queue) => ({ ...queue })),
  };
};

const addProbes = (app: ApiApp, deps: HttpDeps): void => {
  app.get(
    '/v1/healthz',
    {
      schema: {
        operationId: 'getHealth',
        summary: 'Whether the process answers',
        tags,
        response: answers('It does', Health),
      },
    },
    async (_request, reply) => {
      reply.header('cache-control', 'no-store');
      return { status: 'ok' as const };
    },
  );
  app.get(
    '/v1/readyz',
    {
      schema: {
        operationId: 'getReadiness',
        summary: 'Whether the server takes work',
        tags,
        response: { ...answers('It does', Readiness), ...notReady },
      },
    },
    async (_request, reply) => {
      reply.header('cache-control', 'no-store');
      if (!deps.isReady())
        throw new HttpError('SERVER_NOT_READY', 'the server starts or ends: try again in a moment');
      return { status: 'ready' as const };
    },
  );
};

export const addOperationRoutes = (app: ApiApp, deps: RouteDeps): void => {
  addProbes(app, deps);
  app.get(
    '/v1/status',
    {
      schema: {
        operationId: 'getStatus',
        summary: 'Versions, uptime, and how much there is to do',
        tags,
        response: { ...answers('As of now', ServerStatus), ...notReady },
      },
    },
    async (_request, reply) => {
      reply.header('cache-control', 'no-store');
      return await readStatus(deps);
    },
  );
  app.get(
    '/v1/openapi.json',
    {
      schema: {
        operationId: 'getOpenApi',
        summary: 'This document',
        tags,
        response: answers('An OpenAPI 3.1 document', z.record(z.string(), z.unknown())),
      },
    },
    async () => ({ ...(await deps.describe()) }),
  );
};
