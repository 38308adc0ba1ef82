import { join } from 'node:path';
import { runChild } from '@eka-ci/process';
import { describe, expect, it } from 'vitest';
import {
  assertSameWork,
  growthExponent,
  growthFigure,
  ratioByRound,
  summarize,
  timeInterleaved,
  timesAsMuch,
  timesLess,
  UnequalWorkError,
} from './measure.ts';

const always = (value: number) => summarize([value]);

describe('measuring', () => {
  it('takes the sides in turn, prepares each time, and counts no warm-up', async () => {
    const log: string[] = [];
    const side = (name: string) => ({
      prepare: () => void log.push(`prepare ${name}`),
      run: () => log.push(name),
    });
    const { a, b } = await timeInterleaved({ a: side('a'), b: side('b') }, { repetitions: 2, warmUps: 1 });
    const round = ['prepare a', 'a', 'prepare b', 'b'];
    expect(log).toEqual([...round, ...round, ...round]);
    expect([a.ms.count, b.ms.count, b.result]).toEqual([2, 2, 12]);
  });

  it('sums up by median, minimum and maximum', () => {
    expect(summarize([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5, count: 3 });
    expect(summarize([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4, count: 4 });
    expect(() => summarize([])).toThrow(RangeError);
  });

  it('compares what was timed side by side', () => {
    expect(ratioByRound([2, 40, 6], [1, 20, 2])).toBe(2);
    expect(ratioByRound([20, 1], [10, 1])).toBe(1.5);
    expect(() => ratioByRound([1], [])).toThrow(RangeError);
    expect(() => ratioByRound([], [])).toThrow(RangeError);
  });

  it('divides so that more is better for "less" and less is better for "as much"', () => {
    const sides = { name: 'x', ours: always(2), baseline: { name: 'theirs', samples: always(8) } };
    expect(timesLess({ ...sides, atLeast: 4 })).toMatchObject({ ratio: 4, met: true });
    expect(timesLess({ ...sides, atLeast: 4.1 })).toMatchObject({ met: false });
    expect(timesAsMuch({ ...sides, atMost: 0.25 })).toMatchObject({ ratio: 0.25, met: true });
    expect(timesAsMuch({ ...sides, atMost: 0.2 })).toMatchObject({ met: false });
  });

  it('finds how cost grows with size', () => {
    const cost = (exponent: number) => [10, 100, 1000].map((size) => ({ size, cost: 3 * size ** exponent }));
    for (const exponent of [0, 1, 2]) expect(growthExponent(cost(exponent))).toBeCloseTo(exponent);
    expect(growthFigure('x', cost(1)).met).toBe(true);
    expect(growthFigure('x', cost(1.2)).met).toBe(false);
    expect(() => growthExponent([{ size: 5, cost: 1 }])).toThrow(RangeError);
  });

  it('refuses to compare sides that did different work', () => {
    assertSameWork('rows', { ours: 3, theirs: 3 });
    expect(() => assertSameWork('rows', { ours: 3, theirs: 2 })).toThrow(UnequalWorkError);
  });
});

describe('the command line', () => {
  const bench = (...args: string[]) =>
    runChild({ command: process.execPath, args: [join(import.meta.dirname, 'main.ts'), ...args], env: {} });

  it('names the benchmarks there are when asked for another, or for nonsense', async () => {
    const { code, stderr } = await bench('drv-prase');
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(/no benchmark is called drv-prase; there are: drv-parse, /),
    ]);
    expect((await bench('--repetitions', 'many')).code).toBe(2);
    expect((await bench('--nonsense')).code).toBe(2);
  });

  it('lists them', async () => {
    const { code, stdout } = await bench('--list', 'drv-parse');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^drv-parse: .+\n$/)]);
  });
});
