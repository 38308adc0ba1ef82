import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pauseAfter } from './back-off.ts';

const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const backOff = fc
  .tuple(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 0, max: 1e9 }))
  .map(([firstMs, more]) => ({ firstMs, longestMs: firstMs + more }));

describe('a growing pause', () => {
  it('stays between the two bounds, and never gets shorter for one more failure', () => {
    fc.assert(
      fc.property(backOff, fc.nat({ max: 10_000 }), random, (bounds, failures, chance) => {
        const [pause, next] = [
          pauseAfter(bounds, failures, chance),
          pauseAfter(bounds, failures + 1, chance),
        ];
        expect(pause).toBeGreaterThanOrEqual(bounds.firstMs);
        expect(pause).toBeLessThanOrEqual(bounds.longestMs);
        expect(next).toBeGreaterThanOrEqual(pause);
      }),
    );
  });

  it('reaches the longest, about twice as long each time, and differs by chance', () => {
    const bounds = { firstMs: 10_000, longestMs: 600_000 };
    const pauses = [1, 2, 3, 4, 5, 6, 7, 8].map((failures) => pauseAfter(bounds, failures, 0.5));
    expect(pauses).toEqual([10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000]);
    expect(pauseAfter(bounds, 5, 0)).toBe(128_000);
    expect(pauseAfter(bounds, 5, 0.999)).toBeGreaterThan(190_000);
    expect(pauseAfter(bounds, Number.MAX_SAFE_INTEGER, 0.5)).toBe(600_000);
  });
});
