// The API's own description. It is made when somebody asks for it: what makes it is a tenth of the code of a start.
import type { FastifyInstance } from 'fastify';
import type { DescribedRoute } from './route.ts';

/**
 * Notes every route that is added from now on.
 * @returns what gives the OpenAPI document of them; to be asked when all are there
 */
export const describeApi = (app: FastifyInstance, version: string): (() => Promise<object>) => {
  const routes: DescribedRoute[] = [];
  app.addHook('onRoute', ({ method, url, schema }) => {
    // Every GET has one, of which nothing else is to be said.
    if (method !== 'HEAD' && schema !== undefined) routes.push({ method, url, schema });
  });
  let document: Promise<object> | null = null;
  const make = async (): Promise<object> => {
    const { makeApiDocument } = await import('./api-document.ts');
    return makeApiDocument(routes, version);
  };
  return () => (document ??= make());
};
