import { setImmediate } from 'node:timers/promises';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createTurns } from './turns.ts';

describe('turns', () => {
  it('are never more than allowed at once, in order, and none is lost to whoever gave up or failed', async () => {
    const behaviour = fc.array(fc.constantFrom('work', 'throw', 'give up'), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), behaviour, async (atOnce, behaviours) => {
        const turns = createTurns(atOnce);
        const order: number[] = [];
        let running = 0;
        const fault = new Error('of the work');
        const all = behaviours.map(async (how, index) => {
          const abort = new AbortController();
          const done = turns.take(async () => {
            expect(++running).toBeLessThanOrEqual(atOnce);
            order.push(index);
            await setImmediate();
            running--;
            if (how === 'throw') throw fault;
          }, abort.signal);
          if (how === 'give up') abort.abort(fault);
          await done.catch((error: unknown) => expect(error).toBe(fault));
        });
        await Promise.all(all);
        expect(order).toEqual(order.toSorted((one, other) => one - other));
        expect(await turns.take(async () => 'free', new AbortController().signal)).toBe('free');
      }),
      { numRuns: 50 },
    );
  });
});
