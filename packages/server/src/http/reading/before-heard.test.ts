// While a server that starts does not know yet what is private, it shows nothing to anybody over the port.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { createFakeHostedForge, fakeRequest } from '../../forge/hosted-forge.fake.ts';
import { createDeliveryLine } from '../../pipeline/delivery-line.ts';
import { createLiveFeed } from '../../pipeline/live/live-feed.ts';
import { createHttpApp } from '../app.ts';
import { type Listening, listen } from '../listen.ts';
import { createLiveConnections } from '../live/live-connections.ts';
import { readApi } from '../testing/documented.ts';
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

it('shows nothing else over the port, all of it to who opens the socket, and all of it when it knows', async () => {
  const document = await ask({ socketPath: join(folder, 'server.socket') }, '/v1/openapi.json');
  const api = await readApi(z.record(z.string(), z.unknown()).parse(JSON.parse(document.body)));
  const open = new Set(['getHealth', 'getReadiness', 'getMetrics', 'getMetricsForPrometheus']);
  const asked = api.operations.filter(
    ({ operationId, method }) => method === 'get' && !open.has(operationId),
  );
  expect(asked.length).toBeGreaterThan(30);
  for (const { operationId, path, parameters = [] } of asked) {
    const query = parameters.filter((one) => one.in === 'query' && one.required === true);
    const url = `${path.replaceAll(/\{\w+\}/g, '1')}?${query.map(({ name }) => `${name}=1`).join('&')}`;
    const answer = await fetch(base() + url, { redirect: 'manual' });
    // Whatever is wrong with an address is said without looking at anything.
    expect([400, 503], operationId).toContain(answer.status);
    if (answer.status === 503) expect(answer.headers.get('retry-after'), operationId).toBe('5');
  }
  expect((await fetch(`${base()}/v1/drvs/${served.drv}`)).status).toBe(503);
  expect((await fetch(`${base()}/v1/prs`)).status).toBe(503);
  isHeard = true;
  expect((await fetch(`${base()}/v1/drvs/${served.drv}`)).status).toBe(200);
  expect((await fetch(`${base()}/v1/prs`)).status).toBe(200);
});
