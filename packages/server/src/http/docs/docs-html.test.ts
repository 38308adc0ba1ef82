import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Served, serve } from '../testing/served.ts';
import { renderDocs } from './docs-html.ts';
import { OpenApiDocument } from './openapi-document.ts';
import { boundsOf, schemaHtml } from './schema-html.ts';

let served: Served;
let document: OpenApiDocument;
beforeAll(async () => {
  served = await serve();
  document = OpenApiDocument.parse((await served.app.inject('/v1/openapi.json')).json());
});
afterAll(() => served.close());

describe('the page of the API', () => {
  it('has every operation and every type under an anchor, and no link that leads nowhere', async () => {
    const { body, headers } = await served.app.inject('/v1/docs');
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    const anchors = [...body.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(anchors).size).toBe(anchors.length);
    const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
    for (const { operationId } of operations) expect(anchors).toContain(operationId);
    for (const name of Object.keys(document.components.schemas)) expect(anchors).toContain(`schema-${name}`);
    const links = [...body.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id);
    expect(links.length).toBeGreaterThan(operations.length);
    for (const link of links) expect(anchors).toContain(link);
  });

  it('runs nothing, and may load nothing but its style', async () => {
    const { body, headers } = await served.app.inject('/v1/docs');
    expect(headers['content-security-policy']).toMatch(/default-src 'none'; style-src 'self'; frame-anc/);
    expect(body).not.toMatch(/<script|<style|style=|\son\w+=|https?:/);
    const [, style = ''] = /<link rel="stylesheet" href="([^"]+)">/.exec(body) ?? [];
    const { statusCode, headers: ofStyle } = await served.app.inject(style);
    expect([statusCode, ofStyle['content-type']]).toEqual([200, 'text/css; charset=utf-8']);
  });

  it('takes nothing of the document for markup', () => {
    const hostile = '</code><script>alert("1")</script>';
    const page = renderDocs({
      ...document,
      info: { title: hostile, version: hostile, description: hostile },
      paths: {
        [`/${hostile}`]: {
          get: {
            operationId: hostile,
            summary: hostile,
            tags: [hostile],
            parameters: [{ name: hostile, in: hostile, description: hostile, schema: { enum: [hostile] } }],
            responses: { [hostile]: { description: hostile, content: { [hostile]: { schema: {} } } } },
          },
        },
      },
      components: {
        schemas: { [hostile]: { properties: { [hostile]: { $ref: hostile } }, type: 'object' } },
      },
    });
    expect(page).not.toContain('<script');
    expect(page).not.toContain('"1"');
  });

  it('writes types as people do', () => {
    const schema = {
      type: 'object',
      required: ['a'],
      properties: {
        a: { anyOf: [{ type: 'string' }, { type: 'null' }] },
        b: { type: 'array', items: { enum: ['x', 1] } },
        c: { $ref: '#/components/schemas/Change' },
        d: { type: 'array', items: { type: 'object', properties: { e: { type: ['string', 'null'] } } } },
      },
    };
    expect(schemaHtml(schema)).toBe(
      '{\n  a: string | null\n  b?: (&quot;x&quot; | 1)[]\n  c?: <a href="#schema-Change">Change</a>\n' +
        '  d?: {\n    e?: string | null\n  }[]\n}',
    );
    expect(boundsOf({ type: 'integer', minimum: 1, maximum: 500, default: 50 })).toEqual([
      'from 1',
      'up to 500',
      '50 where absent',
    ]);
  });
});
