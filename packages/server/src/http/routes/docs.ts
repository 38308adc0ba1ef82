// The pages that people look at, and the styles of all our pages.
import { z } from 'zod';
import { renderDocs } from '../docs/docs-html.ts';
import { docsStyle } from '../docs/docs-style.ts';
import { OpenApiDocument } from '../docs/openapi-document.ts';
import { logStyle } from '../log/log-style.ts';
import { docsStylePath, logStylePath } from '../pages.ts';
import type { ApiApp, RouteDeps } from '../route.ts';
import { pageHeaders } from '../security-headers.ts';

export const addDocsRoutes = (app: ApiApp, { describe }: Pick<RouteDeps, 'describe'>): void => {
  let page: string | null = null;
  app.get(
    '/v1/docs',
    {
      schema: {
        operationId: 'getDocs',
        summary: 'This document as a page',
        tags: ['operations'],
        response: {
          200: { description: 'A page', content: { 'text/html; charset=utf-8': { schema: z.string() } } },
        },
      },
    },
    async (_request, reply) => {
      page ??= renderDocs(OpenApiDocument.parse(await describe()));
      return reply.headers({ ...pageHeaders, 'content-type': 'text/html; charset=utf-8' }).send(page);
    },
  );
  const styles = [
    [docsStylePath, docsStyle],
    [logStylePath, logStyle()],
  ] as const;
  for (const [path, style] of styles) {
    app.get(path, { schema: { hide: true } }, async (_request, reply) =>
      reply.header('content-type', 'text/css; charset=utf-8').send(style),
    );
  }
};
