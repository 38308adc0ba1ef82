// While a server that starts does not know yet what is private, it shows nothing to anybody over the port.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createFakeHostedForge, fakeRequest } from '../../forge/hosted-forge.fake.ts';
import { createDeliveryLine } from '../../pipeline/delivery-line.ts';
import { createLiveFeed } from '../../pipeline/live/live-feed.ts';
import { createHttpApp } from '../app.ts';
import { type Listening, listen } from '../listen.ts';
import { createLiveConnections } from '../live/live-connections.ts';
import { type DocumentedApi, type DocumentedOperation, readApi } from '../testing/documented.ts';
import { valid } from '../testing/from-schema.ts';
import { ask } from '../testing/raw-request.ts';
import { metricsToken, type Served, serve } from '../testing/served.ts';
import { createWebhookMetrics } from '../webhook-metrics.ts';

const forge = createFakeHostedForge();
let isHeard = false;
let served: Served;
let listening: Listening;
let folder: string;

beforeAll(async () => {
  served = await serve();
  const deliveries = createDeliveryLine(served.database.deliveries);
  const metrics = createWebhookMetrics(() => ({ deliveries: 0, works: 0, sweeps: 0, isBehind: false }));
  const say = (): void => {};
  const logger = { trace: say, debug: say, info: say, warn: say, error: say };
  const live = createLiveConnections({ feed: createLiveFeed(), storeDir: '/nix/store' });
  const app = await createHttpApp({
    ...served.deps,
    live,
    mayShow: () => isHeard,
    webhooks: { forges: [forge], deliveries, onReceived: () => {}, metrics, logger, clock: Date.now },
  });
  folder = await mkdtemp(join(tmpdir(), 'before-heard-test-'));
  const socket = { path: join(folder, 'server.socket'), mode: 0o600 };
  listening = await listen(
    app,
    { tcp: { address: '127.0.0.1', port: 0 }, socket, closeTimeoutMs: 1000 },
    live,
  );
});
afterAll(async () => {
  await listening.close();
  await rm(folder, { recursive: true, force: true });
  await served.close();
});

const base = (): string => `http://127.0.0.1:${listening.tcp?.port ?? 0}`;

it('says that it lives, and takes what forges tell', async () => {
  expect((await fetch(`${base()}/v1/healthz`)).status).toBe(200);
  expect((await fetch(`${base()}/v1/readyz`)).status).toBe(200);
  const headers = { authorization: `Bearer ${metricsToken}` };
  expect((await fetch(`${base()}/v1/metrics`, { headers })).status).toBe(200);
  const told = fakeRequest({ id: 'told', event: { kind: 'access-given', account: 'octo' } });
  const answer = await fetch(`${base()}/github/webhook`, { method: 'POST', ...told });
  expect(answer.status).toBe(202);
  expect(await served.database.deliveries.unfinished(10)).toHaveLength(1);
});

/** Of its form, whether there is such a thing or not. */
const requestOf = (
  { method, path, parameters = [], requestBody }: DocumentedOperation,
  { resolve }: DocumentedApi,
): { readonly url: string; readonly init: RequestInit } => {
  const sample = (schema: Parameters<typeof valid>[0]): unknown =>
    fc.sample(valid(schema, resolve), { numRuns: 1, seed: 1 })[0];
  const valueOf = (name: string): string =>
    encodeURIComponent(String(sample(parameters.find((one) => one.name === name)?.schema ?? {})) || '1');
  const query = parameters.filter((one) => one.in === 'query' && one.required === true);
  const asked = query.map(({ name }) => `${name}=${valueOf(name)}`).join('&');
  const url = `${path.replaceAll(/\{(\w+)\}/g, (_, name: string) => valueOf(name))}?${asked}`;
  const init: RequestInit = { method: method.toUpperCase(), redirect: 'manual' };
  const body = requestBody?.content?.['application/json']?.schema;
  if (body === undefined) return { url, init };
  const headers = { 'content-type': 'application/json' };
  return { url, init: { ...init, headers, body: JSON.stringify(sample(body)) } };
};

it('shows nothing else over the port, as its document says, all of it to who opens the socket, and all when it knows', async () => {
  const document = await ask({ socketPath: join(folder, 'server.socket') }, '/v1/openapi.json');
  const api = await readApi(JSON.parse(document.body));
  const open = new Set(['getHealth', 'getReadiness', 'getMetrics', 'getMetricsForPrometheus']);
  const guarded = api.operations.filter(({ operationId }) => !open.has(operationId));
  expect(guarded.filter(({ method }) => method === 'get').length).toBeGreaterThan(30);
  expect(guarded.filter(({ method }) => method !== 'get').length).toBeGreaterThan(15);
  for (const operation of guarded) {
    const { operationId } = operation;
    const { url, init } = requestOf(operation, api);
    const answer = await fetch(base() + url, init);
    const [body, contentType] = [await answer.text(), answer.headers.get('content-type') ?? ''];
    expect(answer.status, `${operationId}: ${body}`).toBe(503);
    expect(answer.headers.get('retry-after'), operationId).toBe('5');
    expect(JSON.parse(body), operationId).toMatchObject({ error: { code: 'SERVER_NOT_READY' } });
    expect(api.faultOf(operation, { status: 503, contentType, body }), operationId).toBe('');
  }
  // What the document has no words for.
  const log = `/v1/logs/${served.drv}`;
  for (const [method, path] of [
    ...(['/v1/ws/builds', '/v1/openapi.json'] as const).map((one) => ['GET', one] as const),
    ...[log, `${log}/hooks/notify`, '/v1/prs'].map((one) => ['HEAD', one] as const),
  ]) {
    expect((await fetch(base() + path, { method })).status, `${method} ${path}`).toBe(503);
  }
  isHeard = true;
  expect((await fetch(base() + log)).status).toBe(200);
  expect((await fetch(`${base()}/v1/drvs/${served.drv}`)).status).toBe(200);
  expect((await fetch(`${base()}/v1/prs`)).status).toBe(200);
});
