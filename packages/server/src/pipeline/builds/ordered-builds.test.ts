// Ordered builds beside the judge loop, on a real database: what is accepted is carried out, whatever comes between.
import type { CommitSha, DrvPath, TreeSha } from '@eka-ci/core/ids';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Database } from '../../database/database.ts';
import { openSqliteDatabase } from '../../database/kysely/sqlite/sqlite-database.ts';
import { newPath } from '../../database/testing/samples.ts';
import { resumeDeliveries, takeListing } from '../intake.ts';
import { type JudgeLoop, startJudgeLoop } from '../judge-loop.ts';
import { createOrderedBuilds, type Order, type OrderedBuildsDeps } from './ordered-builds.ts';

let database: Database;
beforeEach(async () => {
  database = await openSqliteDatabase({ path: ':memory:', durability: 'process-death' });
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
    onEvent: () => {},
  });

/** Resolves when the signal aborts, as a build does that is ended. */
const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    if (signal.aborted) reject(signal.reason as Error);
  });

const never = new AbortController().signal;

const listing = (branches: readonly string[]) => ({
  repository: { name: 'owner/set', url: '/set', baseBranch: 'main', pollIntervalMs: 1 },
  baseTip: '9'.repeat(40) as CommitSha,
  baselines: [],
  branches: branches.map((name, at) => ({ name, sha: String(at + 1).repeat(40) as CommitSha })),
});

it('waits for the judgement that runs, and goes before the changes that wait', async () => {
  const happened: string[] = [];
  const [first, all] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const orders = open(({ id }) => {
    happened.push(`build ${id}`);
    return Promise.resolve(built);
  });
  let loop: JudgeLoop | null = null;
  await takeListing({ database, clock: () => 1 }, listing(['a', 'b']));
  loop = startJudgeLoop({
    database,
    owner: 'server',
    clock: Date.now,
    onEvent: ({ kind }) => {
      if (kind === 'finished' && happened.includes('judged b')) all.resolve();
    },
    between: (signal) => orders.runWaiting(signal),
    judge: async ({ branch }) => {
      if (branch === 'a') await first.promise;
      happened.push(`judged ${branch}`);
      return {
        state: 'judged',
        base: null,
        judgedTree: 'd'.repeat(40) as TreeSha,
        title: branch,
        conclusion: 'success',
        summaryJson: '{}',
        markdown: '',
      };
    },
  });
  await expect.poll(() => loop?.current()?.branch).toBe('a');
  const one = orderOf('one');
  await orders.order(one);
  await orders.order(orderOf('two'));
  expect(orders.find('one')).toMatchObject({ state: 'waiting' });
  expect(orders.why(one.drv)).toBe(
    'one-1 waits until what is being judged, or was ordered before it, is done.',
  );
  first.resolve();
  await all.promise;
  await loop.stop();
  expect(happened).toEqual(['judged a', 'build one', 'build two', 'judged b']);
  expect(orders.find('two')).toMatchObject({ state: 'done', ending: built });
  expect(orders.why(one.drv)).toBeNull();
});

it('is ended with the loop, and taken up by the next life, apart from what forges told', async () => {
  const started = Promise.withResolvers<void>();
  const orders = open((_order, signal) => {
    started.resolve();
    return untilAborted(signal);
  });
  await orders.order(orderOf('one'));
  const loop = startJudgeLoop({
    database,
    owner: 'server',
    clock: Date.now,
    onEvent: () => {},
    between: (signal) => orders.runWaiting(signal),
    judge: () => Promise.reject(new Error('nothing is to be judged here')),
  });
  await started.promise;
  expect(orders.find('one')).toMatchObject({ state: 'building' });
  await loop.stop();
  expect(orders.find('one')).toMatchObject({ state: 'waiting', ending: null });

  expect(await resumeDeliveries({ database, clock: () => 1 })).toEqual({ queued: [], ended: [] });
  const next = open(() => Promise.resolve(built));
  expect(await next.resume()).toBe(1);
  await next.runWaiting(never);
  expect(next.find('one')).toMatchObject({ state: 'done' });
  expect(await database.deliveries.unfinished(10)).toEqual([]);
  expect(await next.resume()).toBe(0);
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
  await orders.order(orderOf('gone'));
  await orders.order(orderOf('fine'));
  await expect(orders.runWaiting(never)).rejects.toMatchObject({ code: 'DATABASE_LOCKED' });
  expect(orders.find('gone')).toMatchObject({ state: 'waiting' });
  locked = false;
  await orders.runWaiting(never);
  expect(orders.find('gone')).toMatchObject({
    state: 'done',
    ending: { outcome: 'fault', message: 'DRV_FILE_MISSING: it is gone' },
  });
  expect(orders.find('fine')).toMatchObject({ state: 'done', ending: built });
});

it('gives up what it cannot read, and starts all the same', async () => {
  const orders = open(() => Promise.resolve(built));
  await orders.order({ ...orderOf('moved'), drv: '/elsewhere/store/x.drv' as DrvPath });
  await orders.order(orderOf('fine'));
  const next = open(() => Promise.resolve(built));
  expect(await next.resume()).toBe(1);
  expect(next.find('moved')).toBeNull();
  await next.runWaiting(never);
  expect(await database.deliveries.unfinished(10)).toEqual([]);
});

it('is known by its id alone, also to the next life', async () => {
  const orders = open(() => Promise.resolve(built));
  const order = orderOf('one');
  expect(await orders.order(order)).toMatchObject({ kind: 'accepted' });
  expect(await orders.order({ ...order, force: true })).toEqual({ kind: 'id-taken' });
  await orders.runWaiting(never);
  const next = open(() => Promise.reject(new Error('it is done already')));
  expect(await next.order(order)).toMatchObject({ kind: 'accepted', build: { state: 'done', ending: null } });
  await next.runWaiting(never);
  expect(next.find('one')).toMatchObject({ state: 'done', ending: null });
});
