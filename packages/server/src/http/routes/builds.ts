// The builds that run and those that wait, each with the reason.
import type { DrvPath } from '@eka-ci/core/ids';
import { derivationNameOf } from '@eka-ci/nix/store-path';
import { ActiveBuilds, BuildQueue } from '@eka-ci/protocol/build';
import { PageQuery } from '@eka-ci/protocol/page';
import type { HttpDeps } from '../http-options.ts';
import { nextCursorOf, offsetOf } from '../offset-page.ts';
import { type ApiApp, answers, badRequest } from '../route.ts';

const tags = ['builds'];

const readActive = async ({ builds, running, clock }: HttpDeps): Promise<ActiveBuilds> => {
  const active = builds.active();
  const facts = await running.of(active.map(({ drv }) => drv));
  return {
    builds: active.map(({ drv, attempt, builder, phase, startedAtMs }) => ({
      drvPath: drv,
      name: derivationNameOf(drv),
      system: facts.get(drv)?.system ?? null,
      attempt,
      builder,
      phase,
      startedAtMs,
      elapsedMs: Math.max(0, clock() - startedAtMs),
      expectedMs: facts.get(drv)?.expectedMs ?? null,
      why: builds.why(drv),
    })),
  };
};

const addActive = (app: ApiApp, deps: HttpDeps): void => {
  app.get(
    '/v1/builds/active',
    {
      schema: {
        operationId: 'listActiveBuilds',
        summary: 'Builds that run now',
        tags,
        response: answers('Oldest first', ActiveBuilds),
      },
    },
    async (_request, reply) => {
      reply.header('cache-control', 'no-store');
      return await readActive(deps);
    },
  );
};

/**
 * Of what waits far from anything that runs, a reason is a search through much of the graph; of one page they must not
 * keep the server from everything else.
 */
const whyBudgetMs = 30;

type Why = (drv: DrvPath) => string | null;

const withinBudget = (why: Why): Why => {
  const untilMs = performance.now() + whyBudgetMs;
  return (drv) => (performance.now() < untilMs ? why(drv) : null);
};

const addQueue = (app: ApiApp, { builds }: HttpDeps): void => {
  app.get(
    '/v1/builds/queue',
    {
      schema: {
        operationId: 'listQueuedBuilds',
        summary: 'Builds that wait',
        description: 'The queue moves while it is paged: a build may be missed or seen twice.',
        tags,
        querystring: PageQuery,
        response: { ...answers('One page, inputs before dependents', BuildQueue), ...badRequest },
      },
    },
    async ({ query }, reply) => {
      reply.header('cache-control', 'no-store');
      const start = offsetOf(query.cursor);
      const total = builds.queuedCount();
      const items = builds.queued(start, query.limit);
      const nextCursor = nextCursorOf(start + items.length, total);
      const why = withinBudget((drv) => builds.why(drv));
      const queued = items.map((drv) => ({ drvPath: drv, name: derivationNameOf(drv), why: why(drv) }));
      return { total, builds: queued, nextCursor };
    },
  );
};

export const addBuildRoutes = (app: ApiApp, deps: HttpDeps): void => {
  addActive(app, deps);
  addQueue(app, deps);
};
