// The builders: what each offers, what runs on it, and why one that is out gets nothing.
import { Builders } from '@eka-ci/protocol/builder';
import type { HttpDeps } from '../http-options.ts';
import { type ApiApp, answers } from '../route.ts';

const readBuilders = async ({ builds, running, builders }: HttpDeps): Promise<Builders> => {
  const active = builds.active();
  const facts = await running.of(active.map(({ drv }) => drv));
  return {
    builders: builders.builders().map((builder) => {
      const here = active.filter((build) => build.builder === builder.name);
      const fetches = here.filter(({ drv }) => facts.get(drv)?.fixedOutput === true).length;
      const { systems, features, mandatoryFeatures, outage } = builder;
      return {
        name: builder.name,
        isLocal: builder.isLocal,
        systems: [...systems],
        features: [...features],
        mandatoryFeatures: [...mandatoryFeatures],
        speed: builder.speed,
        slots: { ...builder.slots },
        running: { build: here.length - fetches, fixedOutput: fetches },
        outage: outage === null ? null : { ...outage },
      };
    }),
  };
};

export const addBuilderRoutes = (app: ApiApp, deps: HttpDeps): void => {
  app.get(
    '/v1/builders',
    {
      schema: {
        operationId: 'listBuilders',
        summary: 'Builders with their slots, and why one that is out gets nothing',
        tags: ['builds'],
        response: answers('All that are configured', Builders),
      },
    },
    async (_request, reply) => {
      reply.header('cache-control', 'no-store');
      return await readBuilders(deps);
    },
  );
};
