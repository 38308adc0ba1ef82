import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { PriorityQueue } from './priority-queue.ts';

it('gives what a stable sort would, whatever is added and taken between', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat(9), { freq: 4 })), (steps) => {
      const queue = new PriorityQueue<{ key: number; id: number }>((a, b) => a.key - b.key);
      const naive: { key: number; id: number }[] = [];
      for (const [id, key] of steps.entries()) {
        if (key !== null) {
          queue.add({ key, id });
          naive.push({ key, id });
        } else {
          naive.sort((a, b) => a.key - b.key || a.id - b.id);
          expect(queue.take()).toEqual(naive.shift());
        }
        expect(queue.size).toBe(naive.length);
      }
    }),
  );
});
