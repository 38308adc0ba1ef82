// What forges send, over real connections: what is kept, what is refused, and what it may cost whoever has no proof.
import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { ErrorBody } from '@eka-ci/protocol/error';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Delivery } from '../database/database.ts';
import type { ForgeEvent } from '../forge/forge-event.ts';
import {
  createFakeHostedForge,
  type FakeHostedForge,
  fakeRequest,
  proven,
} from '../forge/hosted-forge.fake.ts';
import { createDeliveryLine, type DeliveryLine } from '../pipeline/delivery-line.ts';
import { hostedKey, isHosted, readPayload } from '../pipeline/hosted/hosted-delivery.ts';
import { movedEvent, newOffer } from '../pipeline/hosted/testing/intake-world.ts';
import { createHttpApp } from './app.ts';
import type { HttpDeps } from './http-options.ts';
import { type Listening, listen } from './listen.ts';
import { httpOptions, metricsToken, type Served, serve } from './testing/served.ts';
import { createWebhookMetrics } from './webhook-metrics.ts';

const path = '/github/webhook';
const forge = createFakeHostedForge('github.example.org', path);
const other = createFakeHostedForge('other.example.org', path);
forge.addRepository('owner/one').changes.set(1, newOffer(1));

let served: Served;
let listening: Listening;
let line: DeliveryLine;
let receive: DeliveryLine['receive'];
const received: Delivery[] = [];
const said: string[] = [];
const say = (message: string): void => void said.push(message);
const logger = { trace: say, debug: say, info: say, warn: say, error: say };

const withWebhooks = (deps: HttpDeps, more: Partial<NonNullable<HttpDeps['webhooks']>> = {}): HttpDeps => ({
  ...deps,
  options: { ...httpOptions, rateLimits: { readsPerMinute: 1e9, writesPerMinute: 1 } },
  webhooks: {
    forges: [forge, other],
    deliveries: { receive: (deliveries) => receive(deliveries) },
    onReceived: (delivery) => received.push(delivery),
    metrics: createWebhookMetrics(() => ({ deliveries: 3, works: 0, sweeps: 0, isBehind: false })),
    logger,
    clock: () => 5000,
    ...more,
  },
});

beforeAll(async () => {
  served = await serve();
  line = createDeliveryLine(served.database.deliveries);
  listening = await listen(await createHttpApp(withWebhooks(served.deps)), {
    tcp: { address: '127.0.0.1', port: 0 },
    socket: null,
    closeTimeoutMs: 1000,
    limits: { requestTimeoutMs: 1500, headersTimeoutMs: 1000, checkIntervalMs: 50 },
  });
});
beforeEach(() => {
  receive = (deliveries) => line.receive(deliveries);
  received.length = 0;
  said.length = 0;
  forge.permits = () => true;
});
afterAll(async () => {
  await listening.close();
  await line.close();
  await served.close();
});

interface Sent {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly method?: string;
}

const post = async ({ headers, body = '', method = 'POST' }: Sent) => {
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number;
    body: string;
    headers: NodeJS.Dict<string | string[]>;
  }>();
  const sent = request({ host: '127.0.0.1', port: listening.tcp?.port, path, method, headers }, (answer) => {
    text(answer).then(
      (got) => resolve({ status: answer.statusCode ?? 0, body: got, headers: answer.headers }),
      reject,
    );
  });
  sent.once('error', reject);
  sent.end(body);
  return promise;
};

const codeOf = ({ body }: { readonly body: string }): string => ErrorBody.parse(JSON.parse(body)).error.code;

const moved = (): ForgeEvent => movedEvent(forge, 'owner/one', 1);

const rowsNow = async () => (await served.database.deliveries.unfinished(1000)).filter(isHosted);

/** Padded with what JSON passes over. */
const ofBytes = (id: string, bytes: number): Sent => {
  const { body } = fakeRequest({ id, event: moved() });
  return proven(body + ' '.repeat(bytes - Buffer.byteLength(body)));
};

it('keeps an event as a row before it answers, once, and tells whoever acts on it', async () => {
  const sent = fakeRequest({ id: 'a', event: moved() });
  expect(await post(sent)).toMatchObject({ status: 202, body: '{"outcome":"accepted"}' });
  const rows = (await rowsNow()).filter(({ key }) => key === hostedKey('github.example.org', 'a'));
  expect(rows).toEqual(received);
  expect(rows.map((row) => readPayload(row))).toEqual([moved()]);
  // Again while it is not done: it is told again; afterwards it is not.
  expect(await post(sent)).toMatchObject({ status: 202, body: '{"outcome":"repeated"}' });
  expect(received).toHaveLength(2);
  await served.database.deliveries.finish(hostedKey('github.example.org', 'a'), 1);
  expect(await post(sent)).toMatchObject({ status: 202, body: '{"outcome":"repeated"}' });
  expect(received).toHaveLength(2);
});

it('meets no rate limit, whatever others meet', async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, at) => post(fakeRequest({ id: `many ${at}`, event: moved() }))),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 202));
});

it('keeps nothing of what is ignored, not permitted or not proven', async () => {
  const before = (await rowsNow()).length;
  expect(await post(fakeRequest({ id: 'b', event: null }))).toMatchObject({ status: 204, body: '' });
  expect(await post(fakeRequest({ id: 'c', event: { kind: 'ping' } }))).toMatchObject({ status: 204 });
  forge.permits = () => false;
  expect(await post(fakeRequest({ id: 'd', event: moved() }))).toMatchObject({
    status: 202,
    body: '{"outcome":"not-permitted"}',
  });
  expect(said.filter((message) => message.includes('the permissions do not name'))).toHaveLength(1);
  const { body } = fakeRequest({ id: 'e', event: moved() });
  for (let times = 0; times < 3; times++) {
    const answer = await post({
      headers: { 'content-type': 'application/json', 'x-proof': 'another' },
      body,
    });
    expect([answer.status, codeOf(answer)]).toEqual([401, 'WEBHOOK_UNPROVEN']);
  }
  expect(said.filter((message) => message.includes('was refused'))).toHaveLength(1);
  expect([(await rowsNow()).length, received.length]).toEqual([before, 0]);
});

it('takes a body of the most bytes and none of one more, whether its length is told or not', async () => {
  expect(await post(ofBytes('f', forge.maxBodyBytes))).toMatchObject({ status: 202 });
  const one = ofBytes('g', forge.maxBodyBytes + 1);
  const answers = [
    await post({ ...one, headers: { ...one.headers, 'content-length': String(forge.maxBodyBytes + 1) } }),
    await post({ ...one, headers: { ...one.headers, 'transfer-encoding': 'chunked' } }),
  ];
  expect(answers.map((answer) => [answer.status, codeOf(answer)])).toEqual([
    [413, 'BODY_TOO_LARGE'],
    [413, 'BODY_TOO_LARGE'],
  ]);
  expect(answers.map(({ body }) => body.includes('at most 100000 bytes'))).toEqual([true, true]);
  const chunked = ofBytes('h', forge.maxBodyBytes);
  expect(
    await post({ ...chunked, headers: { ...chunked.headers, 'transfer-encoding': 'chunked' } }),
  ).toMatchObject({
    status: 202,
  });
  expect(received.map(({ key }) => key)).toEqual(['f', 'h'].map((id) => hostedKey('github.example.org', id)));
});

it('refuses other methods, types and no JSON, each with our shape of an error', async () => {
  const { headers, body } = fakeRequest({ id: 'i', event: moved() });
  const answers = [
    await post({ headers: { ...headers, 'content-type': 'text/plain' }, body }),
    await post({ headers: { 'x-proof': 'none' }, body }),
    await post(proven(body.slice(0, -1))),
    await post(proven('')),
    await post({ headers: {} }),
    await post({ headers: {}, method: 'PUT' }),
  ];
  expect(answers.map((answer) => [answer.status, codeOf(answer)])).toEqual([
    [415, 'MEDIA_TYPE_UNSUPPORTED'],
    [415, 'MEDIA_TYPE_UNSUPPORTED'],
    [400, 'REQUEST_INVALID'],
    [400, 'REQUEST_INVALID'],
    [401, 'WEBHOOK_UNPROVEN'],
    [405, 'METHOD_NOT_ALLOWED'],
  ]);
  expect(received).toEqual([]);
});

it('says when to come again where nothing can be kept now', async () => {
  const sent = fakeRequest({ id: 'j', event: moved() });
  const full = createDeliveryLine(served.database.deliveries);
  await full.close();
  receive = (deliveries) => full.receive(deliveries);
  const closed = await post(sent);
  expect([closed.status, codeOf(closed), closed.headers['retry-after']]).toEqual([
    503,
    'SERVER_NOT_READY',
    '5',
  ]);
  receive = () => Promise.reject(Object.assign(new Error('full'), { code: 'DATABASE_FULL' }));
  expect(await post(sent)).toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
  expect([received, served.faults]).toEqual([[], []]);
  receive = (deliveries) => line.receive(deliveries);
  expect(await post(sent)).toMatchObject({ status: 202, body: '{"outcome":"accepted"}' });
});

/** Begins a request whose body never ends. */
const begin = (bytes: number) => {
  const socket = connect(listening.tcp?.port ?? 0, '127.0.0.1');
  const head = `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-proof: none yet\r\ncontent-length: ${bytes + 10}\r\n\r\n`;
  socket.on('error', () => {});
  socket.write(head + ' '.repeat(bytes));
  return socket;
};

it('keeps nothing of half a body, is no fault for it, and waits for none for ever', async () => {
  const before = (await rowsNow()).length;
  const cut = begin(50);
  await new Promise<void>((resolve) => cut.once('connect', resolve));
  cut.destroy();
  expect(await text(begin(50))).toMatch(/^HTTP\/1.1 408 /);
  expect([(await rowsNow()).length, received, served.faults]).toEqual([before, [], []]);
});

it('has room for so much at once of those who may prove nothing, and gives it back', async () => {
  const app = await createHttpApp(withWebhooks(served.deps, { maxBytesAtOnce: 50_000 }));
  const send = async (bytes: number): Promise<number> => {
    const { headers, body = '' } = ofBytes('k', bytes);
    return (await app.inject({ method: 'POST', url: path, headers: { ...headers }, payload: body }))
      .statusCode;
  };
  const answers = [];
  for (const bytes of [50_000, 50_001, 50_000, 60_000, 50_000]) answers.push(await send(bytes));
  expect(answers).toEqual([202, 503, 202, 503, 202]);
  expect(served.faults).toEqual([]);
  await app.close();
});

it('asks each forge that has the address, and counts what came of it', async () => {
  const proven: FakeHostedForge['read'] = other.read;
  const read: FakeHostedForge['read'] = (delivery) =>
    delivery.headers['x-host'] === 'other'
      ? { kind: 'refused', status: 401, reason: 'mismatch', message: 'not mine' }
      : proven(delivery);
  Object.assign(forge, { read });
  const { headers, body } = fakeRequest({ id: 'l', event: moved() });
  expect(await post({ headers: { ...headers, 'x-host': 'other' }, body })).toMatchObject({ status: 202 });
  expect(received.map(({ key }) => key)).toEqual([hostedKey('other.example.org', 'l')]);
  const metrics = await fetch(`http://127.0.0.1:${listening.tcp?.port}/v1/metrics`, {
    headers: { authorization: `Bearer ${metricsToken}` },
  });
  const lines = (await metrics.text()).split('\n');
  const has = (start: string) => lines.some((one) => one.startsWith(start));
  expect(
    has('eka_ci_webhooks_total{forge="other.example.org",event="change-moved",outcome="accepted"} 1'),
  ).toBe(true);
  expect(
    has('eka_ci_webhook_verification_failures_total{forge="github.example.org",reason="mismatch"}'),
  ).toBe(true);
  expect(
    has('eka_ci_webhooks_total{forge="github.example.org",event="star.created",outcome="ignored"} 1'),
  ).toBe(true);
  expect(has('eka_ci_webhooks_waiting 3')).toBe(true);
  expect(has('eka_ci_webhook_answer_duration_seconds_count{forge="other.example.org"} 1')).toBe(true);
});
