import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WorkItem } from './expression.ts';
import { createWorkQueue } from './work-queue.ts';

const item = (id: number, alone = false): WorkItem => ({ id, path: [], guarded: true, alone });
const range = (count: number): WorkItem[] => Array.from({ length: count }, (_, id) => item(id));

describe('the queue of attributes', () => {
  it('gives every item exactly once, never an empty batch while it has some, and lone ones alone', () => {
    const operation = fc.oneof(
      fc.record({ kind: fc.constant('append' as const), count: fc.nat(40), alone: fc.boolean() }),
      fc.record({ kind: fc.constant('putBack' as const), count: fc.nat(5), alone: fc.boolean() }),
      fc.record({ kind: fc.constant('take' as const), count: fc.nat(1), alone: fc.boolean() }),
      fc.record({ kind: fc.constant('learn' as const), count: fc.nat(500), alone: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(operation), (workers, operations) => {
        const queue = createWorkQueue(workers);
        let made = 0;
        const make = (count: number, alone: boolean): WorkItem[] =>
          Array.from({ length: count }, () => item(made++, alone));
        const taken: number[] = [];
        const take = (): number => {
          const batch = queue.take();
          if (batch.some((one) => one.alone)) expect(batch).toHaveLength(1);
          taken.push(...batch.map((one) => one.id));
          return batch.length;
        };
        for (const { kind, count, alone } of operations) {
          if (kind === 'append') queue.append(make(count, alone));
          if (kind === 'putBack') queue.putBack(make(count, alone));
          if (kind === 'learn') queue.learn({ startMs: count, itemMs: 1 });
          if (kind === 'take') take();
        }
        while (queue.size > 0) expect(take()).toBeGreaterThan(0);
        expect(taken.toSorted((a, b) => a - b)).toEqual(range(made).map((one) => one.id));
      }),
    );
  });

  it('gives what was put back first', () => {
    const queue = createWorkQueue(1);
    queue.append([item(3)]);
    queue.putBack([item(1), item(2)]);
    expect([queue.take(), queue.take(), queue.take()].flat().map((one) => one.id)).toEqual([1, 2, 3]);
  });

  it('makes batches large enough to be worth a start, and does not split what is not', () => {
    const queue = createWorkQueue(2);
    queue.append(range(100));
    expect(queue.take()).toHaveLength(25);
    queue.learn({ startMs: 100, itemMs: 5 });
    expect(queue.take()).toHaveLength(38); // A worker's share of 75, though 40 would be worth a start.
    expect(queue.take()).toHaveLength(37);
    expect(queue.take()).toEqual([]);
  });
});
