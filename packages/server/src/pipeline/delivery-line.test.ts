// Whatever happens and whenever: what was acknowledged is on disk, in the order in which it came.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readLines, startChild } from '@eka-ci/process';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Deliveries, Delivery } from '../database/database.ts';
import { openSqliteDatabase } from '../database/kysely/sqlite/sqlite-database.ts';
import {
  createDeliveryLine,
  DeliveriesFullError,
  type DeliveryLine,
  type DeliveryLineLimits,
} from './delivery-line.ts';

const delivery = (key: string, length = 10): Delivery => ({
  key,
  payload: 'x'.repeat(length),
  receivedAtMs: 1,
});

/** A disk that is told when a transaction ends, and how. */
const createDisk = () => {
  const stored: string[] = [];
  const under: { readonly keys: readonly string[]; readonly end: PromiseWithResolvers<void> }[] = [];
  let most = 0;
  const deliveries: Deliveries = {
    async receive(received) {
      const transaction = { keys: received.map(({ key }) => key), end: Promise.withResolvers<void>() };
      under.push(transaction);
      most = Math.max(most, under.length);
      await transaction.end.promise;
      const answers = transaction.keys.map((key) => (stored.includes(key) ? 'unfinished' : 'new'));
      stored.push(...transaction.keys.filter((key) => !stored.includes(key)));
      return answers;
    },
    unfinished: async () => [],
    finish: async () => {},
    forget: async () => 0,
  };
  return {
    deliveries,
    stored,
    most: () => most,
    groups: () => under.map(({ keys }) => keys),
    end: (how: 'commit' | 'fail'): void => {
      const { end } = under.shift() ?? {};
      if (how === 'commit') end?.resolve();
      else end?.reject(new Error('the disk is full'));
    },
  };
};

/** Enough turns for everything that can happen without the disk. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const event = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('call' as const), size: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'commit' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'fail' as const }) },
);

it('acknowledges nothing that a crash at that moment would lose, and keeps the order', async () => {
  const property = fc.asyncProperty(fc.array(event, { maxLength: 60 }), async (events) => {
    const disk = createDisk();
    const limits: DeliveryLineLimits = { maxWaiting: 20, maxLengthAtOnce: 80 };
    const line = createDeliveryLine(disk.deliveries, limits);
    const told = { acknowledged: new Set<string>(), refused: new Set<string>(), failed: new Set<string>() };
    const hand = async (to: DeliveryLine, keys: readonly string[]): Promise<void> => {
      const set = await to.receive(keys.map((key) => delivery(key))).then(
        () => told.acknowledged,
        (error: unknown) => (error instanceof DeliveriesFullError ? told.refused : told.failed),
      );
      for (const key of keys) set.add(key);
    };
    const calls: Promise<void>[] = [];
    let next = 0;
    for (const { kind, ...more } of events) {
      if (kind === 'call') {
        const size = 'size' in more ? more.size : 1;
        const keys = Array.from({ length: size }, () => String(next++));
        calls.push(hand(line, keys));
      } else disk.end(kind);
      await settle();
      // A crash now leaves what is stored, and nobody may have been told more, or otherwise, than that.
      expect([...told.acknowledged].toSorted()).toEqual([...disk.stored].toSorted());
      expect(disk.stored).toEqual(disk.stored.toSorted((a, b) => Number(a) - Number(b)));
      expect(disk.most()).toBeLessThanOrEqual(1);
      const waiting = next - told.acknowledged.size - told.refused.size - told.failed.size;
      expect(waiting).toBeLessThanOrEqual(20 + 8);
    }
    const closed = line.close();
    await expect(line.receive([delivery('late')])).rejects.toMatchObject({ code: 'DELIVERIES_CLOSED' });
    while (disk.groups().length > 0) {
      disk.end('commit');
      await settle();
    }
    await Promise.all([closed, ...calls]);
    expect(told.acknowledged.size + told.refused.size + told.failed.size).toBe(next);
    expect(disk.stored.length).toBe(told.acknowledged.size);
  });
  await fc.assert(property, { numRuns: 150 });
});

it('shares a transaction among all that wait, up to a bound, and refuses what is too much', async () => {
  const disk = createDisk();
  const line = createDeliveryLine(disk.deliveries, {
    maxWaiting: 6,
    maxWaitingLength: 1000,
    maxLengthAtOnce: 45,
  });
  const receive = (...keys: string[]) => line.receive(keys.map((key) => delivery(key)));
  const first = [receive('a'), receive('b', 'c')];
  await settle();
  expect(disk.groups()).toEqual([['a', 'b', 'c']]);
  const second = [receive('a'), receive('d'), receive('e', 'f'), receive('g'), receive('h')];
  await expect(receive('i')).rejects.toMatchObject({ code: 'DELIVERIES_FULL', message: /6 deliveries/ });
  disk.end('commit');
  expect(await Promise.all(first)).toEqual([['new'], ['new', 'new']]);
  await settle();
  expect(disk.groups()).toEqual([['a', 'd', 'e', 'f']]);
  disk.end('commit');
  await settle();
  expect(disk.groups()).toEqual([['g', 'h']]);
  disk.end('fail');
  const ends = await Promise.allSettled(second);
  expect(ends.map(({ status }) => status)).toEqual([
    'fulfilled',
    'fulfilled',
    'fulfilled',
    'rejected',
    'rejected',
  ]);
  expect(ends[0]).toMatchObject({ value: ['unfinished'] });
  expect(await receive()).toEqual([]);
  // Alone it is let through, however large: what else should become of it.
  const large = line.receive([delivery('large', 5000)]);
  await settle();
  disk.end('commit');
  expect(await large).toEqual(['new']);
});

it('loses nothing it acknowledged to kill -9', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'eka-ci-deliveries-'));
  const path = join(folder, 'sqlite.db');
  try {
    const child = await startChild({
      command: process.execPath,
      args: [join(import.meta.dirname, 'testing/deliver-until-killed.ts'), path, '16'],
      env: {},
    });
    const acknowledged: string[] = [];
    for await (const line of readLines(child.stdout)) {
      acknowledged.push(line);
      if (acknowledged.length === 200) child.end('SIGKILL');
    }
    expect((await child.exited).signal).toBe('SIGKILL');
    // The last line may have been cut short by the kill; a cut key is no key.
    const whole = acknowledged.slice(0, -1);
    const database = await openSqliteDatabase({ path, durability: 'power-loss' });
    const stored = await database.deliveries.unfinished(1_000_000);
    await database.close();
    const keys = new Set(stored.map(({ key }) => key));
    expect(whole.length).toBeGreaterThanOrEqual(199);
    expect(whole.filter((key) => !keys.has(key))).toEqual([]);
    for (const { key, payload } of stored) expect(JSON.parse(payload)).toBe(key.repeat(5000));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
