// The OpenAPI document, made of the schemas that the routes are checked with.
import { ErrorBody } from '@eka-ci/protocol/error';
import fastifySwagger from '@fastify/swagger';
import { fastify } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { compileWithZod, type DescribedRoute, withoutCompilers } from './route.ts';

const Operation = z.looseObject({
  parameters: z.array(z.looseObject({ in: z.string() })).optional(),
  responses: z.record(z.string(), z.unknown()),
});
const Document = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), Operation)),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
});
type Document = z.infer<typeof Document>;

const schema = { $ref: `#/components/schemas/${ErrorBody.meta()?.id ?? ''}` };
const error = (description: string) => ({ description, content: { 'application/json': { schema } } });

/** What may be answered in place of anything, before a route is asked or because of what all routes need. */
const always = {
  429: error('Asked too often: Retry-After says when again'),
  503: error('The database does not answer now, or the server starts or ends'),
};
const withPath = {
  400: error('A parameter is not of its form'),
  414: error('A part of the address is longer than any name'),
};
const withBody = {
  400: error('The body is not of its form'),
  413: error('The body is too large'),
  415: error('The body is no JSON'),
};

/** What an operation says of itself stands. */
const addCommonAnswers = ({ paths }: Document): void => {
  const operations = Object.values(paths).flatMap((methods) => Object.entries(methods));
  for (const [method, operation] of operations) {
    const hasPath = operation.parameters?.some((parameter) => parameter.in === 'path') === true;
    operation.responses = {
      ...always,
      ...(hasPath && withPath),
      // Also where no body is wanted: one may be sent, and is read.
      ...(method !== 'get' && withBody),
      ...operation.responses,
    };
  }
};

const namesIn = (part: unknown): string[] =>
  [...JSON.stringify(part).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name = '']) => name);

/** Types that nothing leads to are left out: each comes once for questions and once for answers. */
const dropUnused = ({ paths, components }: Document): void => {
  const used = new Set<string>();
  const open = namesIn(paths);
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (used.has(name)) continue;
    used.add(name);
    open.push(...namesIn(components.schemas[name] ?? null));
  }
  components.schemas = Object.fromEntries(
    Object.entries(components.schemas).filter(([name]) => used.has(name)),
  );
};

const complete = (document: unknown): Document => {
  const described = Document.parse(document);
  addCommonAnswers(described);
  dropUnused(described);
  return described;
};

/** Of an app of its own, which nobody asks: what describes has to be there before the first route. */
export const makeApiDocument = async (
  routes: readonly DescribedRoute[],
  version: string,
): Promise<object> => {
  const app = fastify({ schemaController: withoutCompilers, exposeHeadRoutes: false });
  compileWithZod(app);
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
    transformObject: (input) => complete(jsonSchemaTransformObject(input)),
  });
  for (const route of routes) app.route({ ...route, handler: () => {} });
  await app.ready();
  const document = app.swagger();
  await app.close();
  return document;
};
