// Builds of single derivations that operators order.
import { BuildOrder, OrderedBuild, OrderedBuildParams } from '@eka-ci/protocol/build-request';
import { DrvParams } from '@eka-ci/protocol/derivation';
import { nameOfCaller } from '../../auth/caller.ts';
import { parseDrvParam } from '../drv-param.ts';
import { HttpError } from '../errors.ts';
import type { HttpDeps } from '../http-options.ts';
import type { OrderAnswer } from '../operator-actions.ts';
import {
  type ApiApp,
  accepted,
  answers,
  badRequest,
  conflict,
  forbidden,
  notFound,
  tooMany,
} from '../route.ts';

const tags = ['builds'];

/** @throws HttpError where it is not accepted */
const acceptedBuild = (answer: OrderAnswer): OrderedBuild => {
  switch (answer.kind) {
    case 'accepted':
      return answer.build;
    case 'not-in-store':
      throw new HttpError(
        'DRV_NOT_IN_STORE',
        "the server's store has no such derivation: evaluate it there, or copy it (nix-copy-closure --to HOST DRV)",
      );
    case 'id-taken':
      throw new HttpError('REQUEST_ID_TAKEN', 'another order has this id: choose a new one for each');
    case 'too-many':
      throw new HttpError('TOO_MANY_BUILDS', 'too many ordered builds wait: try again when some are done');
  }
};

const addOrdering = (app: ApiApp, deps: HttpDeps): void => {
  app.post(
    '/v1/drvs/:drv/build',
    {
      schema: {
        operationId: 'orderBuild',
        summary: 'Have it built, before any change that waits',
        description:
          'With whatever it lacks. Outputs that are valid or can be fetched are never built again; what failed ' +
          'before is tried again only where the order says so. For admins.',
        tags,
        params: DrvParams,
        body: BuildOrder,
        response: {
          ...accepted('It is carried out, also when the server is stopped meanwhile', OrderedBuild),
          ...badRequest,
          ...forbidden,
          ...notFound,
          ...conflict,
          ...tooMany,
        },
      },
    },
    async (request, reply) => {
      const caller = await deps.access.requireAdmin(request);
      const drv = parseDrvParam(request.params.drv, deps.storeDir);
      const build = acceptedBuild(await deps.actions.orderBuild(drv, request.body));
      const effective = build.state !== 'done';
      deps.actions.audit({ who: nameOfCaller(caller), action: 'build', subject: drv, effective });
      reply.code(202);
      return build;
    },
  );
};

export const addBuildOrderRoutes = (app: ApiApp, deps: HttpDeps): void => {
  addOrdering(app, deps);
  app.get(
    '/v1/build-orders/:id',
    {
      schema: {
        operationId: 'getOrderedBuild',
        summary: 'How an ordered build stands',
        tags,
        params: OrderedBuildParams,
        response: { ...answers('As it is now', OrderedBuild), ...badRequest, ...notFound },
      },
    },
    async ({ params }, reply) => {
      const build = deps.actions.findOrder(params.id);
      if (build === null) {
        throw new HttpError(
          'BUILD_ORDER_NOT_FOUND',
          'no build was ordered under this id, or it is long done: ask for its derivation',
        );
      }
      reply.header('cache-control', 'no-store');
      return build;
    },
  );
};
