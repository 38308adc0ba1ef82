// Ordered builds on a real database: what is accepted is carried out, whatever comes between.
import type { DrvPath } from '@eka-ci/core/ids';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { newPath } from '../../database/testing/samples.ts';
import { resumeDeliveries } from '../intake.ts';
import {
  createOrderedBuilds,
  type Order,
  type OrderEvent,
  type OrderedBuildsDeps,
} from './ordered-builds.ts';

let database: Database;
const events: OrderEvent[] = [];
beforeEach(async () => {
  events.length = 0;
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
});
afterEach(() => database.close());

const orderOf = (id: string, drv: DrvPath = newPath(`${id}-1`)): Order => ({
  id,
  drv,
  force: false,
  rebuildAll: false,
});

const built = { outcome: 'succeeded', cause: 'built', culprit: null, message: null } as const;

const open = (build: OrderedBuildsDeps['build'], deliveries: Database['deliveries'] = database.deliveries) =>
  createOrderedBuilds({
    database: { deliveries },
    storeDir: '/nix/store',
    build,
    clock: () => 1,
    onEvent: (event) => events.push(event),
    retryMs: 10,
  });

/** Resolves when the signal aborts, as a build does that is ended. */
const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    if (signal.aborted) reject(signal.reason as Error);
  });

it('carries out what is ordered at once, some beside each other, but for what is paused', async () => {
  const release = Promise.withResolvers<void>();
  const happened: string[] = [];
  const orders = open(async ({ id }) => {
    happened.push(id);
    await release.promise;
    return built;
  });
  const names = Array.from({ length: 10 }, (_, index) => `o${index}`);
  for (const name of names) await orders.order(orderOf(name));
  expect(happened).toEqual([]);
  orders.resume();
  expect(happened).toEqual(names.slice(0, 8));
  expect(orders.find('o9')).toMatchObject({ state: 'waiting' });
  orders.pause();
  release.resolve();
  await expect.poll(() => orders.find('o7')).toMatchObject({ state: 'done', ending: built });
  expect(orders.find('o8')).toMatchObject({ state: 'waiting' });
  const waiting = orderOf('again');
  await orders.order(waiting);
  expect(orders.why(waiting.drv)).toBe('again-1 waits until what was ordered before it is done.');
  orders.resume();
  await expect.poll(() => orders.find('again')).toMatchObject({ state: 'done', ending: built });
  expect(orders.why(waiting.drv)).toBeNull();
  await orders.stop();
});

it('is ended with the server, and taken up by the next life, apart from what forges told', async () => {
  const orders = open((_order, signal) => untilAborted(signal));
  orders.resume();
  await orders.order(orderOf('one'));
  expect(orders.find('one')).toMatchObject({ state: 'building' });
  await Promise.all([orders.stop(), orders.stop()]);
  expect(orders.find('one')).toMatchObject({ state: 'waiting', ending: null });

  expect(await resumeDeliveries({ database, clock: () => 1 })).toEqual({ queued: [], ended: [] });
  const next = open(() => Promise.resolve(built));
  expect(await next.takeUp()).toBe(1);
  next.resume();
  await expect.poll(() => next.find('one')).toMatchObject({ state: 'done' });
  expect(await database.deliveries.unfinished(10)).toEqual([]);
  expect(await next.takeUp()).toBe(0);
});

it('ends what runs where it is drained, and goes on after', async () => {
  let tries = 0;
  const orders = open((_order, signal) => (++tries === 1 ? untilAborted(signal) : Promise.resolve(built)));
  orders.resume();
  await orders.order(orderOf('one'));
  orders.release();
  expect(orders.find('one')).toMatchObject({ state: 'building' });
  orders.pause();
  orders.release();
  await expect.poll(() => orders.find('one')).toMatchObject({ state: 'waiting' });
  orders.resume();
  await expect.poll(() => orders.find('one')).toMatchObject({ state: 'done' });
});

it('waits while the database does not answer, and tells what else kept it from being tried', async () => {
  let locked = true;
  const finish: Database['deliveries']['finish'] = (key, atMs) =>
    locked
      ? Promise.reject(Object.assign(new Error('locked'), { code: 'DATABASE_LOCKED' }))
      : database.deliveries.finish(key, atMs);
  const orders = open(
    ({ id }) =>
      id === 'gone'
        ? Promise.reject(Object.assign(new Error('it is gone'), { code: 'DRV_FILE_MISSING' }))
        : Promise.resolve(built),
    { ...database.deliveries, finish },
  );
  orders.resume();
  await orders.order(orderOf('gone'));
  await orders.order(orderOf('fine'));
  await expect.poll(() => events.map(({ kind }) => kind)).toContain('database-fault');
  await expect.poll(() => orders.find('gone')).toMatchObject({ state: 'waiting' });
  locked = false;
  await expect
    .poll(() => orders.find('gone'))
    .toMatchObject({
      state: 'done',
      ending: { outcome: 'fault', message: 'DRV_FILE_MISSING: it is gone' },
    });
  await expect.poll(() => orders.find('fine')).toMatchObject({ state: 'done', ending: built });
  await orders.stop();
});

it('gives up what it cannot read, and starts all the same', async () => {
  const orders = open(() => Promise.resolve(built));
  await orders.order({ ...orderOf('moved'), drv: '/elsewhere/store/x.drv' as DrvPath });
  await orders.order(orderOf('fine'));
  const next = open(() => Promise.resolve(built));
  expect(await next.takeUp()).toBe(1);
  expect(next.find('moved')).toBeNull();
  next.resume();
  await expect.poll(() => database.deliveries.unfinished(10)).toEqual([]);
});

it('is known by its id alone, also to the next life', async () => {
  const orders = open(() => Promise.resolve(built));
  const order = orderOf('one');
  expect(await orders.order(order)).toMatchObject({ kind: 'accepted' });
  expect(await orders.order({ ...order, force: true })).toEqual({ kind: 'id-taken' });
  orders.resume();
  await expect.poll(() => orders.find('one')).toMatchObject({ state: 'done' });
  const next = open(() => Promise.reject(new Error('it is done already')));
  next.resume();
  expect(await next.order(order)).toMatchObject({ kind: 'accepted', build: { state: 'done', ending: null } });
  await next.stop();
  expect(next.find('one')).toMatchObject({ state: 'done', ending: null });
});
