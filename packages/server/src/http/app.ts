// The one HTTP app: every route, on whatever it is opened (listen.ts). It decides nothing of its own.
import { type FastifyInstance, type FastifyRequest, fastify } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { describeApi } from './describe-api.ts';
import { createErrorHandler } from './errors.ts';
import { tagAnswer } from './etag.ts';
import type { HttpDeps } from './http-options.ts';
import { takeJsonBodies } from './json-body.ts';
import { createKnownRoutes } from './known-routes.ts';
import { allowOrigins } from './origins.ts';
import { limitRates } from './rate-limit.ts';
import { createHeardGuard } from './reading/before-heard.ts';
import { createReaderAtHand, guardReads, type ReaderAtHand } from './reading/guarded.ts';
import { keepFromOthers } from './reading/keep-from-others.ts';
import { compileWithZod, withoutCompilers } from './route.ts';
import { addAccountRoutes } from './routes/account.ts';
import { addAdminUserRoutes } from './routes/admin-users.ts';
import { addApiTokenRoutes } from './routes/api-tokens.ts';
import { addApprovedAuthorRoutes } from './routes/approved-authors.ts';
import { addAutoMergeRoutes } from './routes/auto-merge.ts';
import { addBadgeRoutes } from './routes/badges.ts';
import { addBuildOrderRoutes } from './routes/build-orders.ts';
import { addBuilderRoutes } from './routes/builders.ts';
import { addBuildRoutes } from './routes/builds.ts';
import { addCacheRoutes } from './routes/caches.ts';
import { addChangeActionRoutes } from './routes/change-actions.ts';
import { addChangeRoutes } from './routes/changes.ts';
import { addCheckRoutes } from './routes/checks.ts';
import { addCommitRoutes } from './routes/commits.ts';
import { addDerivationRoutes } from './routes/derivations.ts';
import { addDocsRoutes } from './routes/docs.ts';
import { addHookRoutes } from './routes/hooks.ts';
import { addJobRoutes } from './routes/jobs.ts';
import { addLiveRoutes } from './routes/live.ts';
import { addLogRoutes } from './routes/logs.ts';
import { addMaintainerRoutes } from './routes/maintainers.ts';
import { addMetricsRoutes } from './routes/metrics.ts';
import { addOperationRoutes } from './routes/operations.ts';
import { addRebuildRoutes } from './routes/rebuilds.ts';
import { addRepositoryRoutes } from './routes/repositories.ts';
import { addReviewRoutes } from './routes/reviews.ts';
import { addSignInRoutes } from './routes/sign-in.ts';
import { addUpkeepRoutes } from './routes/upkeep.ts';
import { addWebhookRoutes } from './routes/webhooks.ts';
import { setSecurityHeaders } from './security-headers.ts';
import { createSummaryReader } from './summary/summary-reader.ts';

export type { HttpDeps } from './http-options.ts';

const maxBodyBytes = 1024 * 1024;
/** Longer than every name there is: what is longer than a name may be is for its parser to refuse, with its code. */
const maxParamLength = 2000;

/** Before anything is read of a request that leads nowhere: whatever its body is, the address is what is wrong. */
const refuseUnknown = (app: FastifyInstance): void => {
  const routes = createKnownRoutes();
  const limitRate = app.rateLimit();
  app.addHook('onRoute', ({ method, url }) => routes.add(method, url));
  app.addHook('onRequest', async (request, reply) => {
    if (!request.is404) return;
    await limitRate.call(app, request, reply);
    const { error, allowed } = routes.refusalOf(request.method, request.url);
    if (allowed.length > 0) reply.header('allow', allowed.join(', '));
    throw error;
  });
};

/** From the first line of a route on, all that it reads is as whoever asks may see it. */
const readAsCaller = (app: FastifyInstance, deps: HttpDeps): ReaderAtHand => {
  const { access } = deps;
  const requireHeard = createHeardGuard(deps);
  app.addHook('preHandler', async (request) => requireHeard(request));
  const atHand = createReaderAtHand(access.anybody);
  const seesMore = new WeakSet<FastifyRequest>();
  app.addHook('preHandler', (request, _reply, goOn) => {
    access.readerOf(request).then(
      (reader) => {
        if (reader !== access.anybody) seesMore.add(request);
        atHand.run(reader, goOn);
      },
      (cause: unknown) =>
        goOn(cause instanceof Error ? cause : new Error('who asks is not known', { cause })),
    );
  });
  app.addHook('onSend', async (request, reply, payload) => {
    if (seesMore.has(request)) keepFromOthers(reply);
    return payload;
  });
  return atHand;
};

/** Not listening yet: `listen` opens it, `inject` asks it without a connection. */
export const createHttpApp = async (server: HttpDeps): Promise<FastifyInstance> => {
  const { behindTls } = server.options;
  const onError = createErrorHandler({ onFault: server.onFault, behindTls });
  const app = fastify({
    bodyLimit: maxBodyBytes,
    routerOptions: { maxParamLength },
    trustProxy: [...server.options.trustedProxies],
    frameworkErrors: onError,
    schemaController: withoutCompilers,
  }).withTypeProvider<ZodTypeProvider>();
  compileWithZod(app);
  app.setErrorHandler(onError);
  app.addHook('onRequest', async (_request, reply) => setSecurityHeaders(reply, behindTls));
  app.addHook('onSend', async (request, reply, payload) => tagAnswer(request, reply, payload));
  allowOrigins(app, server.options.origins);
  takeJsonBodies(app);
  await limitRates(app, server.options.rateLimits);
  refuseUnknown(app);
  const describe = describeApi(app, server.version);
  // Asked of changes that somebody was shown.
  const summaries = createSummaryReader(server.database.changes);
  const deps = guardReads(server, readAsCaller(app, server));
  app.addHook('onClose', () => summaries.close());
  const routeDeps = { ...deps, summaries, describe };
  // Whoever shows a token that is none is told so, also where none is needed. Not before their rate was looked at.
  app.addHook('preParsing', async (request, _reply, payload) => {
    if (request.headers.authorization !== undefined) await deps.access.callerOf(request);
    return payload;
  });
  // For who may know of everything, or holds a token for that alone.
  addMetricsRoutes(app, server);
  addOperationRoutes(app, routeDeps);
  addUpkeepRoutes(app, deps);
  addCacheRoutes(app, deps);
  addChangeRoutes(app, routeDeps);
  addReviewRoutes(app, routeDeps);
  addCommitRoutes(app, routeDeps);
  addJobRoutes(app, routeDeps);
  addChangeActionRoutes(app, deps);
  addAutoMergeRoutes(app, deps);
  addMaintainerRoutes(app, deps);
  addDerivationRoutes(app, deps);
  addBuildOrderRoutes(app, deps);
  addRebuildRoutes(app, routeDeps);
  addLogRoutes(app, deps);
  addHookRoutes(app, deps);
  addCheckRoutes(app, deps);
  addBadgeRoutes(app, deps);
  addRepositoryRoutes(app, deps);
  addDocsRoutes(app, routeDeps);
  addBuildRoutes(app, deps);
  addBuilderRoutes(app, deps);
  addSignInRoutes(app, deps);
  addAccountRoutes(app, deps);
  addApiTokenRoutes(app, deps);
  addAdminUserRoutes(app, deps);
  addApprovedAuthorRoutes(app, deps);
  addLiveRoutes(app, deps);
  if (deps.webhooks !== undefined) addWebhookRoutes(app, deps.webhooks);
  return app;
};
