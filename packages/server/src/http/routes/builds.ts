// The builds that run and those that wait, each with the reason.
import { derivationNameOf } from '@eka-ci/nix/store-path';
import { ActiveBuilds, BuildQueue } from '@eka-ci/protocol/build';
import { PageQuery } from '@eka-ci/protocol/page';
import type { HttpDeps } from '../http-options.ts';
import { pageOf } from '../offset-page.ts';
import { type ApiApp, answers, badRequest } from '../route.ts';

const tags = ['builds'];

const addActive = (app: ApiApp, { builds }: HttpDeps): void => {
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
      const active = builds.active().map(({ drv, attempt, builder, phase, startedAtMs }) => {
        const why = builds.why(drv);
        return { drvPath: drv, name: derivationNameOf(drv), attempt, builder, phase, startedAtMs, why };
      });
      return { builds: active };
    },
  );
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
        response: { ...answers('One page, first to be started first', BuildQueue), ...badRequest },
      },
    },
    async ({ query }, reply) => {
      reply.header('cache-control', 'no-store');
      const { items, total, nextCursor } = pageOf(builds.queued(), query);
      const queued = items.map((drv) => ({
        drvPath: drv,
        name: derivationNameOf(drv),
        why: builds.why(drv),
      }));
      return { total, builds: queued, nextCursor };
    },
  );
};

export const addBuildRoutes = (app: ApiApp, deps: HttpDeps): void => {
  addActive(app, deps);
  addQueue(app, deps);
};
