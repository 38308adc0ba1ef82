import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createPace } from './pace.ts';

const minuteMs = 60_000;

it('never lets more be created than GitHub takes, and never waits longer than that needs', () => {
  const pauses = fc.array(fc.nat(2 * minuteMs), { minLength: 100, maxLength: 700 });
  fc.assert(
    fc.property(pauses, fc.integer({ min: 1, max: 200 }), (pausesMs, divisor) => {
      const pace = createPace();
      const created: number[] = [];
      let nowMs = 0;
      for (const pauseMs of pausesMs) {
        nowMs += Math.floor(pauseMs / divisor);
        const waitMs = pace.contentWaitMs(nowMs);
        const { leftThisMinute, leftThisHour } = pace.contentBudget(nowMs);
        expect(waitMs === 0).toBe(leftThisMinute > 0 && leftThisHour > 0);
        nowMs += waitMs;
        expect(pace.contentWaitMs(nowMs)).toBe(0);
        pace.spendContent(nowMs);
        created.push(nowMs);
        const since = (windowMs: number): number => created.filter((at) => at > nowMs - windowMs).length;
        expect(since(minuteMs)).toBeLessThanOrEqual(80);
        expect(since(60 * minuteMs)).toBeLessThanOrEqual(500);
      }
    }),
    { numRuns: 30 },
  );
});

it('holds nobody up for as long as the clock was set back', () => {
  const pace = createPace();
  const nowMs = 1_000_000_000;
  for (let count = 0; count < 80; count++) pace.spendContent(nowMs);
  pace.report({ resource: 'core', remaining: 0, resetAtMs: nowMs + minuteMs });
  expect([pace.contentWaitMs(nowMs), pace.waitMs('core', nowMs), pace.waitMs('graphql', nowMs)]).toEqual([
    minuteMs,
    minuteMs,
    0,
  ]);
  const dayBefore = nowMs - 24 * 60 * minuteMs;
  expect([pace.contentWaitMs(dayBefore), pace.waitMs('core', dayBefore)]).toEqual([0, 0]);
});
