// Contract of the port's pushes: of equal outputs one row for each cache, held by one at a time until it is settled.
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Database, StoredPush, WantedPush } from './database.ts';
import { pushPriorities } from './pushes.ts';
import { newPath } from './testing/samples.ts';

const { branch, unmerged } = pushPriorities;
const owner = 'a';

let database: Database;

const wanted = (more: Partial<WantedPush> = {}): WantedPush => {
  const drv = more.drv ?? newPath();
  return {
    cache: 'main',
    drv,
    outputs: [drv.slice(0, -4) as StorePath],
    repository: 'owner/set',
    branch: 'main',
    changeId: null,
    publicationId: 1,
    priority: branch,
    ...more,
  };
};

const claim = (
  nowMs: number,
  more: { cache?: string; limit?: number; oneAt?: number; owner?: string } = {},
) => database.pushes.claim({ cache: 'main', owner, nowMs, untilMs: nowMs + 100, limit: 10, ...more });

const drvsOf = (pushes: readonly StoredPush[]): DrvPath[] => pushes.map(({ drv }) => drv);
const idsOf = (pushes: readonly StoredPush[]): number[] => pushes.map(({ id }) => id);

const wantingContract = (): void => {
  it('gives out what is wanted, by priority and then by age, one cache at a time', async () => {
    const { pushes } = database;
    const pull = wanted({ priority: unmerged, branch: 'pull/7' });
    const [first, second, other] = [wanted(), wanted(), wanted({ cache: 'other' })];
    expect(await pushes.want([pull, first, second, other], 1000)).toBe(4);
    expect(await pushes.want([], 1000)).toBe(0);
    const [one] = await claim(1000, { limit: 1 });
    expect(one).toEqual({
      ...first,
      id: one?.id,
      state: 'waiting',
      attempts: 0,
      nextAtMs: 0,
      fault: null,
      waitingSinceMs: 1000,
      updatedAtMs: 1000,
    });
    expect(drvsOf(await claim(1000))).toEqual([second.drv, pull.drv]);
    expect(await claim(1000)).toEqual([]);
    expect(drvsOf(await claim(1000, { cache: 'other' }))).toEqual([other.drv]);
  });

  it('gives one of those that are due, and leaves the others to all', async () => {
    const { pushes } = database;
    const all = Array.from({ length: 4 }, () => wanted());
    await pushes.want(all, 1000);
    expect(drvsOf(await claim(1000, { oneAt: 0.5 }))).toEqual([all[2]?.drv]);
    expect(drvsOf(await claim(1000, { oneAt: 0.99, limit: 2 }))).toEqual([all[1]?.drv]);
    expect(drvsOf(await claim(1000, { oneAt: 0 }))).toEqual([all[0]?.drv]);
    expect(drvsOf(await claim(1000))).toEqual([all[3]?.drv]);
    expect(await claim(1000, { oneAt: 0.5 })).toEqual([]);
  });

  it('wants equal outputs once for a cache, whatever their derivations are', async () => {
    const { pushes } = database;
    const first = wanted({ priority: unmerged, branch: 'pull/7' });
    const [output] = first.outputs;
    expect(await pushes.want([first, first], 1000)).toBe(1);
    expect(await pushes.settled({ cache: 'main', priority: unmerged }, [output])).toEqual(new Set([output]));
    expect(await pushes.settled({ cache: 'main', priority: branch }, [output])).toEqual(new Set());
    const again = wanted({ outputs: first.outputs, publicationId: 2 });
    expect(await pushes.want([again], 2000)).toBe(0);
    expect(await pushes.want([first], 2000)).toBe(0);
    expect(await claim(3000)).toMatchObject([{ ...again, waitingSinceMs: 1000 }]);
    expect(await pushes.publicationsWaiting()).toEqual([2]);
  });

  it('does not want again what is there, and wants anew what was dropped', async () => {
    const { pushes } = database;
    const [there, had, dropped] = [wanted(), wanted(), wanted()];
    await pushes.want([there, had, dropped], 1000);
    const [one, two, three] = idsOf(await claim(1000));
    await pushes.settle([one ?? 0], { state: 'pushed', fault: null, atMs: 1100 });
    await pushes.settle([two ?? 0], { state: 'present', fault: null, atMs: 1100 });
    await pushes.settle([three ?? 0], { state: 'dropped', fault: 'collected', atMs: 1100 });
    const outputs = [there, had, dropped].map((push) => push.outputs[0]);
    expect(await pushes.settled({ cache: 'main', priority: branch }, outputs)).toEqual(
      new Set(outputs.slice(0, 2)),
    );
    expect(await pushes.settled({ cache: 'other', priority: branch }, outputs)).toEqual(new Set());
    expect(await pushes.want([there, had, dropped], 2000)).toBe(1);
    expect(await claim(2000)).toMatchObject([{ drv: dropped.drv, fault: null, waitingSinceMs: 2000 }]);
    expect(await pushes.askAgain('main', 3000)).toBe(2);
    // The third is there, too: its lease has run out.
    expect(drvsOf(await claim(3000))).toEqual([dropped.drv, there.drv, had.drv]);
  });
};

const manyContract = (): void => {
  it('wants many at once, each once, in their order, and asks again about all of them', async () => {
    const { pushes } = database;
    const many = Array.from({ length: 1100 }, (_, at) =>
      wanted(at % 50 === 0 ? { cache: 'other' } : { priority: at % 2 === 0 ? branch : unmerged }),
    );
    const [known, dropped] = [many.slice(1, 20), many.slice(21, 31)];
    expect(await pushes.want([...known, ...dropped], 500)).toBe(29);
    const held = idsOf(await claim(600, { limit: 1000 }));
    expect(held).toHaveLength(29);
    const droppedDrvs = new Set(dropped.map(({ drv }) => drv));
    const claimed = await claim(800, { limit: 1000 });
    for (const { id, drv } of claimed) {
      const state = droppedDrvs.has(drv) ? 'dropped' : 'pushed';
      await pushes.settle([id], { state, fault: null, atMs: 900 });
    }
    expect(await pushes.want([...many, ...many.slice(40, 90)], 1000)).toBe(1100 - 19);
    const first = await claim(1000, { limit: 1000 });
    const fresh = many.filter(({ cache, drv }) => cache === 'main' && !known.some((one) => one.drv === drv));
    const byPriority = [
      ...fresh.filter((one) => one.priority === branch),
      ...fresh.filter((one) => one.priority !== branch),
    ];
    const order = [...first, ...(await claim(1000, { limit: 1000 }))].map(({ drv }) => drv);
    expect(new Set(order)).toEqual(new Set(byPriority.map(({ drv }) => drv)));
    const rest = order.filter((drv) => !droppedDrvs.has(drv));
    expect(rest).toEqual(byPriority.map(({ drv }) => drv).filter((drv) => !droppedDrvs.has(drv)));
    expect(await claim(1000, { limit: 1000, cache: 'other' })).toHaveLength(22);
    const ids = (await claim(9000, { limit: 1000 })).map(({ id }) => id);
    ids.push(...(await claim(9000, { limit: 1000 })).map(({ id }) => id));
    await pushes.settle(ids, { state: 'pushed', fault: null, atMs: 9000 });
    expect(await pushes.askAgain('main', 9500)).toBe(1078);
    expect(await pushes.counts()).toMatchObject([{ waiting: 1078 }, { cache: 'other', waiting: 22 }]);
  });
};

const leasingContract = (): void => {
  it('gives first what has not failed again and again', async () => {
    const { pushes } = database;
    const [never, fresh] = [wanted(), wanted({ priority: unmerged })];
    await pushes.want([never], 1000);
    const ids = idsOf(await claim(1000));
    for (let at = 1; at <= 3; at++) {
      await pushes.putOff({ ids, owner }, { fault: 'too large', nextAtMs: 1000 + at, atMs: 1000 + at });
      if (at < 3) expect(idsOf(await claim(2000 + at))).toEqual(ids);
    }
    await pushes.want([fresh], 3000);
    expect(drvsOf(await claim(9000, { limit: 1 }))).toEqual([fresh.drv]);
    expect(drvsOf(await claim(9000))).toEqual([never.drv]);
  });

  it('gives it to another when its lease has run out, and to nobody before', async () => {
    const { pushes } = database;
    await pushes.want([wanted(), wanted()], 1000);
    const held = idsOf(await claim(1000));
    expect(await pushes.renew({ ids: held, owner }, 1500)).toEqual(held);
    expect(await claim(1400, { owner: 'b' })).toEqual([]);
    expect(idsOf(await claim(1600, { owner: 'b', limit: 1 }))).toEqual(held.slice(0, 1));
    expect(await pushes.renew({ ids: held, owner }, 2000)).toEqual(held.slice(1));
    await pushes.putOff({ ids: held, owner }, { fault: 'down', nextAtMs: 9000, atMs: 1650 });
    await pushes.release({ ids: held.slice(0, 1), owner });
    expect(await claim(1690)).toEqual([]);
    // What is there is there, whoever says so.
    await pushes.settle(held, { state: 'pushed', fault: null, atMs: 1700 });
    await pushes.settle(held, { state: 'pushed', fault: null, atMs: 1700 });
    expect(await pushes.renew({ ids: held, owner: 'b' }, 3000)).toEqual([]);
    expect(await claim(99_000)).toEqual([]);
    expect(await pushes.counts()).toEqual([]);
  });

  it('gives back at once what its owner held when it died', async () => {
    const { pushes } = database;
    await pushes.want([wanted(), wanted()], 1000);
    const [mine] = await claim(1000, { limit: 1 });
    await claim(1000, { owner: 'b' });
    expect(await pushes.releaseAll(owner)).toBe(1);
    expect(await claim(1000)).toEqual([mine]);
    await pushes.release({ ids: [mine?.id ?? 0], owner });
    expect(await claim(1001)).toEqual([mine]);
  });
};

const failingContract = (): void => {
  it('tries what failed when its time has come, and counts those in a row', async () => {
    const { pushes } = database;
    await pushes.want([wanted(), wanted()], 1000);
    const [one, two] = idsOf(await claim(1000));
    const ids = [one ?? 0];
    await pushes.putOff({ ids, owner }, { fault: 'down', nextAtMs: 5000, atMs: 1050 });
    await pushes.release({ ids: [two ?? 0], owner });
    expect(await pushes.counts()).toEqual([{ cache: 'main', waiting: 2, failing: 1, waitingSinceMs: 1000 }]);
    expect(idsOf(await claim(4999))).toEqual([two]);
    expect(await claim(5000)).toMatchObject([{ id: one, attempts: 1, fault: 'down', nextAtMs: 5000 }]);
    await pushes.putOff({ ids, owner }, { fault: 'still down', nextAtMs: 9000, atMs: 5050 });
    expect(await pushes.retry('other', 6000)).toBe(0);
    expect(await pushes.retry('main', 6000)).toBe(1);
    expect(await claim(6000)).toMatchObject([{ id: one, attempts: 2, fault: 'still down' }, { id: two }]);
  });

  it('does not wait for what a clock that was set back has still before it', async () => {
    const { pushes } = database;
    await pushes.want([wanted()], 1000);
    const ids = idsOf(await claim(1000));
    await pushes.putOff({ ids, owner }, { fault: 'down', nextAtMs: 900_000, atMs: 800_000 });
    expect(idsOf(await claim(2000))).toEqual(ids);
  });

  it('forgets what was settled long ago, and what waits for a cache that is no more', async () => {
    const { pushes } = database;
    const [old, young, gone] = [wanted(), wanted(), wanted({ cache: 'gone' })];
    await pushes.want([old, young, wanted(), gone], 1000);
    const [first, second] = idsOf(await claim(1000));
    await pushes.settle([first ?? 0], { state: 'pushed', fault: null, atMs: 1000 });
    await pushes.settle([second ?? 0], { state: 'pushed', fault: null, atMs: 2000 });
    expect(await pushes.forget(1500, ['main', 'gone'])).toBe(1);
    expect(await pushes.forget(1500, ['main'])).toBe(1);
    expect(await pushes.want([old, young, gone], 3000)).toBe(2);
    expect(await pushes.forget(1500, [])).toBe(1);
    expect(await pushes.counts()).toMatchObject([
      { cache: 'gone', waitingSinceMs: 3000 },
      { cache: 'main', waitingSinceMs: 3000 },
    ]);
  });
};

/** @param open makes an empty database that nobody else uses */
export const pushContract = (open: () => Promise<Database>): void => {
  beforeEach(async () => {
    database = await open();
  });
  afterEach(() => database.close());
  wantingContract();
  manyContract();
  leasingContract();
  failingContract();
};
