import { ErrorBody } from '@eka-ci/protocol/error';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { getJson, getRefusal } from './testing/inject.ts';
import { httpOptions, metricsToken, type Served, serve } from './testing/served.ts';

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(() => served.close());

const refusal = (url: string, more?: Parameters<typeof getRefusal>[2]) => getRefusal(served.app, url, more);
const get = (url: string) => getJson(served.app, url);

describe('every answer', () => {
  it('says to browsers that it is data, errors and files included', async () => {
    const urls = [
      '/v1/healthz',
      '/v1/nothing',
      '/v1/prs?limit=0',
      '/v1/%zz',
      `/v1/logs/${served.drv}`,
      '/metrics',
    ];
    for (const url of urls) {
      const { headers } = await served.app.inject(url);
      expect(headers, url).toMatchObject({
        'content-security-policy': expect.stringContaining("default-src 'none'") as string,
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
      });
      expect(headers).not.toHaveProperty('strict-transport-security');
    }
    const behindTls = await serve({ options: { ...httpOptions, behindTls: true } });
    const { headers } = await behindTls.app.inject('/v1/healthz');
    await behindTls.close();
    expect(headers).toHaveProperty('strict-transport-security');
  });

  it('has one shape where it is an error, with a code', async () => {
    expect(await refusal('/v1/nothing')).toMatchObject({ status: 404, code: 'ROUTE_NOT_FOUND' });
    expect(await refusal('/')).toMatchObject({ status: 404, code: 'ROUTE_NOT_FOUND' });
    const post = await refusal('/v1/prs', { method: 'POST', payload: 'x'.repeat(100) });
    expect(post).toMatchObject({ status: 405, code: 'METHOD_NOT_ALLOWED', headers: { allow: 'GET, HEAD' } });
    for (const method of ['POST', 'QUERY', 'PATCH', 'DELETE'] as const) {
      const headers = { 'content-type': 'nonsense' };
      const answer = await served.app.inject({ method, url: '/v1/status', headers, payload: '{' });
      expect([answer.statusCode, answer.headers.allow], method).toEqual([405, 'GET, HEAD']);
    }
    expect(await refusal('/v1/logs/x', { method: 'OPTIONS' })).toMatchObject({ status: 405 });
    expect(await refusal('/v1/%zz')).toMatchObject({ status: 400, code: 'PATH_INVALID' });
    expect(await refusal(`/v1/drvs/${'a'.repeat(3000)}`)).toMatchObject({
      status: 414,
      code: 'ADDRESS_TOO_LONG',
    });
    expect(await refusal('/v1/prs?limit=0&repo=x')).toMatchObject({
      status: 400,
      code: 'REQUEST_INVALID',
      error: { details: expect.arrayContaining([expect.objectContaining({ path: 'limit' })]) as unknown[] },
    });
    expect(served.faults).toEqual([]);
  });

  it('tells the operator of a fault, and the client nothing of it', async () => {
    const broken = await serve({
      status: () => {
        throw new Error('the canary at /secret/path');
      },
    });
    const answer = await broken.app.inject('/v1/status');
    expect(answer.statusCode).toBe(500);
    expect(ErrorBody.parse(answer.json()).error.code).toBe('SERVER_FAULT');
    expect(answer.body).not.toMatch(/canary|secret|at /);
    expect(broken.faults).toMatchObject([
      { method: 'GET', route: '/v1/status', error: { message: /canary/ } },
    ]);
    await broken.database.close();
    const closed = await broken.app.inject(`/v1/drvs/${broken.drv}`);
    expect(closed.statusCode).toBe(503);
    expect(closed.headers['retry-after']).toBe('5');
    expect(ErrorBody.parse(closed.json()).error.code).toBe('SERVER_NOT_READY');
    await broken.close();
  });

  it('is not sent again to who has it, and what changes by itself is not kept', async () => {
    const url = `/v1/drvs/${served.drv}`;
    const first = await served.app.inject(url);
    const { etag } = first.headers;
    const again = await served.app.inject({
      url,
      headers: { 'if-none-match': `"other", W/${String(etag)}` },
    });
    expect([again.statusCode, again.body, again.headers.etag]).toEqual([304, '', etag]);
    const other = await served.app.inject({ url, headers: { 'if-none-match': '"other"' } });
    expect(other.statusCode).toBe(200);
    for (const live of ['/v1/healthz', '/v1/status', '/v1/builds/active', '/v1/builds/queue']) {
      const { headers } = await served.app.inject(live);
      expect([headers.etag, headers['cache-control']]).toEqual([undefined, 'no-store']);
    }
  });
});

describe('operations', () => {
  it('is alive while it is not ready', async () => {
    served.setReady(false);
    const answers = [await served.app.inject('/v1/healthz'), await served.app.inject('/v1/readyz')];
    served.setReady(true);
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 503]);
    expect(served.faults).toEqual([]);
    expect(await get('/v1/status')).toMatchObject({
      ready: true,
      uptimeMs: 60_000,
      builds: { active: 1, queued: 1, slots: 2 },
      nixVersion: '2.8.0',
    });
  });

  it('keeps the metrics to who has the token', async () => {
    for (const authorization of [
      '',
      'Bearer',
      'Bearer wrong',
      `Basic ${metricsToken}`,
      `Bearer ${metricsToken}x`,
    ]) {
      const answer = await served.app.inject({ url: '/v1/metrics', headers: { authorization } });
      expect([answer.statusCode, answer.body.includes('eka_ci_')]).toEqual([401, false]);
      expect(answer.headers['www-authenticate']).toContain('Bearer');
    }
    const headers = { authorization: `Bearer ${metricsToken}` };
    const { body } = await served.app.inject({ url: '/metrics', headers });
    expect(body).toMatch(/^eka_ci_builds_active 1$/m);
    expect(body).toMatch(/^eka_ci_nodejs_eventloop_lag_seconds /m);
    expect(body).toMatch(/route="\/v1\/metrics",status="401"/);
  });
});
