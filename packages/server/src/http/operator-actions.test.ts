// What operators do, over the unix socket and over TCP, and what is told to the server and its log of it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OrderedBuild } from '@eka-ci/protocol/build-request';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database, StoredChange } from '../database/database.ts';
import { newPath } from '../database/testing/samples.ts';
import { createOrderedBuilds, type OrderedBuilds } from '../pipeline/builds/ordered-builds.ts';
import { type Listening, listen } from './listen.ts';
import { type AuditedAction, createOperatorActions, type OperatorActions } from './operator-actions.ts';
import { send, type Target } from './testing/raw-request.ts';
import { newChange, type Served, serve } from './testing/served.ts';

const known = newPath('known-1.0');
const drv = known.slice(known.lastIndexOf('/') + 1);
const id = (last: number): string => `7c9e6679-7425-40de-944b-${String(last).padStart(12, '0')}`;

let folder: string;
let served: Served;
let listening: Listening;
let socket: Target;
let port: Target;
let orders: OrderedBuilds | null = null;
let told: (string | AuditedAction)[] = [];

/** The real thing over the served database; builds succeed at once, when they are let. */
const openOrders = (database: Database): OrderedBuilds =>
  createOrderedBuilds({
    database,
    storeDir: '/nix/store',
    build: () => Promise.resolve({ outcome: 'succeeded', cause: 'built', culprit: null, message: null }),
    clock: () => 1000,
    onEvent: () => {},
  });

const ordersNow = (): OrderedBuilds => (orders ??= openOrders(served.database));

const actions: OperatorActions = {
  ...createOperatorActions({
    orders: {
      order: (order) => ordersNow().order(order),
      find: (wanted) => ordersNow().find(wanted),
    },
    isInStore: (path) => Promise.resolve(path === known),
    stopJudging: (changeId) => void told.push(`stop ${changeId}`),
    wake: () => void told.push('wake'),
    logger: { trace: () => {}, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  }),
  audit: (action) => void told.push(action),
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'actions-test-'));
  served = await serve({ actions });
  const socketPath = join(folder, 'socket');
  listening = await listen(served.app, {
    tcp: { address: '127.0.0.1', port: 0 },
    socket: { path: socketPath, mode: 0o600, group: null },
    closeTimeoutMs: 1000,
  });
  socket = { socketPath };
  port = { host: '127.0.0.1', port: listening.tcp?.port ?? 0 };
});
afterAll(async () => {
  await listening.close();
  await served.close();
  await rm(folder, { recursive: true });
});
beforeEach(() => {
  told = [];
});

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const read = (text: string): unknown => JSON.parse(text) as unknown;

const post = async (path: string, body?: unknown, target: Target = socket): Promise<Answer> => {
  const more =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const answer = await send(target, { method: 'POST', path, ...more });
  return { status: answer.status, body: read(answer.body) };
};

const get = async (path: string): Promise<Answer> => {
  const answer = await send(port, { path });
  return { status: answer.status, body: read(answer.body) };
};

const refusal = (status: number, code: string) => ({ status, body: { error: { code } } });

let number = 100;
const save = async (
  more: Partial<StoredChange>,
): Promise<{ readonly change: StoredChange; readonly path: string }> => {
  number += 1;
  const change = newChange(`of-operators-${number}`, { number, approved: false, ...more });
  await served.database.changes.save(change);
  return { change, path: `/v1/prs/github/example/packages/${number}` };
};

describe('an action', () => {
  it.each(['cancel', 'approve', 'rejudge'])(
    '%s is for operators, on a change that is there',
    async (name) => {
      const { change, path } = await save({ state: 'queued' });
      expect(await post(`${path}/${name}`, undefined, port)).toMatchObject(refusal(401, 'SIGN_IN_REQUIRED'));
      expect(await post(`/v1/reviews/${id(1)}/${name}`, undefined, port)).toMatchObject({ status: 401 });
      expect(await served.database.changes.find(change.id)).toMatchObject({ state: 'queued' });
      expect(told).toEqual([]);
      const prs = '/v1/prs/github';
      expect(await post(`${prs}/example/packages/99/${name}`)).toMatchObject(
        refusal(404, 'CHANGE_NOT_FOUND'),
      );
      expect(await post(`${prs}/example/packages/x/${name}`)).toMatchObject(refusal(400, 'REQUEST_INVALID'));
      expect(await post(`/v1/prs/gitlab/a/b/1/${name}`)).toMatchObject(refusal(404, 'REPOSITORY_NOT_FOUND'));
      expect(await post(`/v1/reviews/${id(1)}/${name}`)).toMatchObject(refusal(404, 'REVIEW_NOT_FOUND'));
    },
  );

  it('is done to what was submitted by its id, and to nothing else by an id', async () => {
    await save({ id: id(2), kind: 'submitted', state: 'queued' });
    await save({ id: id(3), state: 'queued' });
    expect(await post(`/v1/reviews/${id(2)}/cancel`)).toMatchObject({
      status: 200,
      body: { state: 'failed' },
    });
    expect(await post(`/v1/reviews/${id(3)}/cancel`)).toMatchObject(refusal(404, 'REVIEW_NOT_FOUND'));
  });
});

describe('cancelling', () => {
  it('ends a judgement once', async () => {
    const { change, path } = await save({ state: 'judging', conclusion: null });
    const cancelled = { status: 200, body: { id: change.id, state: 'failed', conclusion: 'cancelled' } };
    expect(await post(`${path}/cancel`)).toMatchObject(cancelled);
    expect(await post(`${path}/cancel`)).toMatchObject(cancelled);
    const audited = { who: 'operator', action: 'cancel', subject: `example/packages ${change.number}` };
    expect(told).toEqual([
      `stop ${change.id}`,
      { ...audited, effective: true },
      'wake',
      { ...audited, effective: false },
    ]);
  });

  it('leaves a verdict alone', async () => {
    const { change, path } = await save({ state: 'judged', conclusion: 'success' });
    expect(await post(`${path}/cancel`)).toMatchObject({ status: 200, body: { state: 'judged' } });
    expect(await served.database.changes.find(change.id)).toMatchObject({ conclusion: 'success' });
  });
});

describe('approving', () => {
  it('has what waits for it judged again, once', async () => {
    const { path } = await save({ state: 'judged', conclusion: 'action-required' });
    const queued = { status: 200, body: { state: 'queued', approved: true } };
    expect(await post(`${path}/approve`)).toMatchObject(queued);
    expect(await post(`${path}/approve`)).toMatchObject(queued);
    expect(told.filter((one) => one === 'wake')).toEqual(['wake']);
  });

  it('does not judge again what it let through', async () => {
    const { path } = await save({ state: 'judged', conclusion: 'success', approved: true });
    expect(await post(`${path}/approve`)).toMatchObject({ status: 200, body: { state: 'judged' } });
    expect(told).toEqual([expect.objectContaining({ effective: false })]);
  });

  it.each(['queued', 'judging'] as const)('is remembered of one that is %s', async (state) => {
    const { change, path } = await save({ state, conclusion: null });
    const approved = { status: 200, body: { state, approved: true } };
    expect(await post(`${path}/approve`)).toMatchObject(approved);
    expect(await post(`${path}/approve`)).toMatchObject(approved);
    expect(told.filter((one) => one === 'wake')).toEqual(['wake']);
    expect(await served.database.changes.find(change.id)).toMatchObject({ state, approved: true });
  });

  it.each(['superseded', 'closed'] as const)('is not for one that is %s', async (state) => {
    const { path } = await save({ state, conclusion: null });
    expect(await post(`${path}/approve`)).toMatchObject(refusal(409, 'CHANGE_NOT_READY'));
  });
});

describe('judging again', () => {
  it('takes what is at rest, cancelled or not, and keeps an approval', async () => {
    const { path } = await save({ state: 'failed', conclusion: 'cancelled', approved: true });
    const queued = { status: 200, body: { state: 'queued', approved: true } };
    expect(await post(`${path}/rejudge`)).toMatchObject(queued);
    expect(await post(`${path}/rejudge`)).toMatchObject(queued);
    expect(told.filter((one) => one === 'wake')).toEqual(['wake']);
    const closed = await save({ state: 'closed' });
    expect(await post(`${closed.path}/rejudge`)).toMatchObject(refusal(409, 'CHANGE_NOT_READY'));
  });
});

describe('ordering a build', () => {
  const path = `/v1/drvs/${drv}/build`;

  it('is for operators, of a derivation in the store', async () => {
    expect(await post(path, { id: id(10) }, port)).toMatchObject(refusal(401, 'SIGN_IN_REQUIRED'));
    expect(await get(`/v1/build-orders/${id(10)}`)).toMatchObject(refusal(404, 'BUILD_ORDER_NOT_FOUND'));
    expect(await post('/v1/drvs/hello/build', { id: id(10) })).toMatchObject(refusal(400, 'DRV_INVALID'));
    const unknown = newPath('unknown-1.0').replace('/nix/store/', '');
    expect(await post(`/v1/drvs/${unknown}/build`, { id: id(10) })).toMatchObject(
      refusal(404, 'DRV_NOT_IN_STORE'),
    );
    for (const body of [{}, { id: 'x' }, { id: id(10), more: 1 }, [], 'text']) {
      expect(await post(path, body)).toMatchObject(refusal(400, 'REQUEST_INVALID'));
    }
  });

  it('is done once by its id, however often it is asked for', async () => {
    const order = { id: id(11), force: true };
    const [first, twin] = await Promise.all([post(path, order), post(path, order)]);
    expect([first, twin]).toMatchObject([
      { status: 202, body: { id: id(11), drvPath: known, force: true, rebuildAll: false, state: 'waiting' } },
      { status: 202, body: { state: 'waiting' } },
    ]);
    expect(await post(path, { ...order, force: false })).toMatchObject(refusal(409, 'REQUEST_ID_TAKEN'));
    ordersNow().resume();
    const done = { state: 'done', ending: { outcome: 'succeeded' } };
    await expect
      .poll(async () => OrderedBuild.parse((await get(`/v1/build-orders/${id(11)}`)).body))
      .toMatchObject(done);
    expect(await post(path, order)).toMatchObject({ status: 202, body: done });
    expect(await served.database.deliveries.unfinished(10)).toEqual([]);
  });

  it('outlives the server, and takes only so many', async () => {
    ordersNow().pause();
    expect(await post(path, { id: id(12) })).toMatchObject({ status: 202 });
    orders = openOrders(served.database);
    expect(await orders.takeUp()).toBe(1);
    expect(await get(`/v1/build-orders/${id(12)}`)).toMatchObject({ body: { state: 'waiting' } });
    for (let count = 1; count < 100; count++) await post(path, { id: id(100 + count) });
    expect(await post(path, { id: id(13) })).toMatchObject(refusal(429, 'TOO_MANY_BUILDS'));
    expect(await post(path, { id: id(12) })).toMatchObject({ status: 202 });
    orders.resume();
    await expect.poll(() => post(path, { id: id(13) })).toMatchObject({ status: 202 });
  });
});
