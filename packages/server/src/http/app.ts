// The one HTTP app: every route, on whatever it is opened (listen.ts). It decides nothing of its own.
import fastifySwagger from '@fastify/swagger';
import { type FastifyInstance, fastify } from 'fastify';
import {
  jsonSchemaTransform,
  jsonSchemaTransformObject,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod';
import { createErrorHandler } from './errors.ts';
import { tagAnswer } from './etag.ts';
import type { HttpDeps } from './http-options.ts';
import { createKnownRoutes } from './known-routes.ts';
import { addBuildRoutes } from './routes/builds.ts';
import { addChangeRoutes } from './routes/changes.ts';
import { addCommitRoutes } from './routes/commits.ts';
import { addDerivationRoutes } from './routes/derivations.ts';
import { addLogRoutes } from './routes/logs.ts';
import { addMetricsRoutes } from './routes/metrics.ts';
import { addOperationRoutes } from './routes/operations.ts';
import { setSecurityHeaders } from './security-headers.ts';

export type { HttpDeps } from './http-options.ts';

const maxBodyBytes = 1024 * 1024;
/** Longer than every name there is: what is longer than a name may be is for its parser to refuse, with its code. */
const maxParamLength = 2000;

const describeApi = async (app: FastifyInstance, version: string): Promise<void> => {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'EkaCI',
        version,
        description:
          'Continuous integration for Nix package sets. Errors have one shape, and codes that do not change.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/' }],
      components: {
        securitySchemes: {
          metricsToken: { type: 'http', scheme: 'bearer', description: 'The token of `web.metrics_token`.' },
        },
      },
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  });
};

const refuseUnknown = (app: FastifyInstance): void => {
  const routes = createKnownRoutes();
  app.addHook('onRoute', ({ method, url }) => routes.add(method, url));
  app.setNotFoundHandler((request, reply) => {
    const { error, allowed } = routes.refusalOf(request.method, request.url);
    if (allowed.length > 0) reply.header('allow', allowed.join(', '));
    throw error;
  });
};

/** Not listening yet: `listen` opens it, `inject` asks it without a connection. */
export const createHttpApp = async (deps: HttpDeps): Promise<FastifyInstance> => {
  const { behindTls } = deps.options;
  const onError = createErrorHandler({ onFault: deps.onFault, behindTls });
  const app = fastify({
    bodyLimit: maxBodyBytes,
    routerOptions: { maxParamLength },
    frameworkErrors: onError,
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler(onError);
  app.addHook('onRequest', async (_request, reply) => setSecurityHeaders(reply, behindTls));
  app.addHook('onSend', async (request, reply, payload) => tagAnswer(request, reply, payload));
  refuseUnknown(app);
  await describeApi(app, deps.version);
  addMetricsRoutes(app, deps);
  addOperationRoutes(app, deps);
  addChangeRoutes(app, deps);
  addCommitRoutes(app, deps);
  addDerivationRoutes(app, deps);
  addLogRoutes(app, deps);
  addBuildRoutes(app, deps);
  return app;
};
