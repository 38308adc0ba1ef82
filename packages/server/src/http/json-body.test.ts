import { ErrorBody } from '@eka-ci/protocol/error';
import * as fc from 'fast-check';
import { fastify } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isDeeper } from '../lib/json-depth.ts';
import { createErrorHandler } from './errors.ts';
import { maxJsonDepth, takeJsonBodies } from './json-body.ts';

const depthOf = (value: unknown): number => {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
};

describe('a JSON body', () => {
  const app = fastify();
  beforeAll(async () => {
    app.setErrorHandler(createErrorHandler({ onFault: () => {}, behindTls: false }));
    takeJsonBodies(app);
    app.post('/', ({ body }) => ({ body }));
    await app.ready();
  });
  afterAll(() => app.close());
  const post = async (payload: string, type = 'application/json') => {
    const headers = { 'content-type': type };
    const answer = await app.inject({ method: 'POST', url: '/', payload, headers });
    if (answer.statusCode === 200) return { status: 200, body: answer.json<{ body: unknown }>().body };
    return { status: answer.statusCode, code: ErrorBody.parse(answer.json()).error.code };
  };

  it('is taken as it is, up to a depth', async () => {
    const at = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    const deepest: unknown = JSON.parse(at(maxJsonDepth));
    expect(await post(at(maxJsonDepth))).toEqual({ status: 200, body: deepest });
    const refused = { status: 400, code: 'REQUEST_INVALID' };
    expect(await post(at(maxJsonDepth + 1))).toEqual(refused);
    expect(await post('{"a":'.repeat(100_000))).toEqual(refused);
    for (const odd of ['', '{', '"\\', '{"__proto__":1}', '{"constructor":{"prototype":1}}']) {
      expect(await post(odd), odd).toEqual(refused);
    }
    expect(await post('x', 'text/plain')).toEqual({ status: 415, code: 'MEDIA_TYPE_UNSUPPORTED' });
  });

  it('is as deep as its arrays and objects are, whatever stands in strings', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.nat(7), (value, max) => {
        expect(isDeeper(JSON.stringify(value), max)).toBe(depthOf(value) > max);
      }),
    );
    expect(isDeeper(JSON.stringify(['[[[[\\"[[', '"[']), 1)).toBe(false);
  });
});
