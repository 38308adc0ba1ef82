import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addDuration,
  estimateDuration,
  expectDurations,
  type PackageKey,
  type RecentDurations,
  recentDurationsKept,
} from './build-durations.ts';
import { takeAll } from './steps.ts';

const learn = (durations: readonly number[]): RecentDurations => durations.reduce(addDuration, []);

const key = (pname: string, more: Partial<PackageKey> = {}): PackageKey => ({
  system: 'x86_64-linux',
  pname,
  fixedOutput: false,
  ...more,
});

describe('the estimate of a duration', () => {
  it('is a number of milliseconds that one build took, whatever it was fed', () => {
    fc.assert(
      fc.property(fc.array(fc.double()), (durations) => {
        const recent = learn(durations);
        const real = durations.filter((ms) => Number.isFinite(ms) && ms >= 0).map(Math.round);
        expect(recent).toEqual(real.slice(-recentDurationsKept));
        const estimate = estimateDuration(recent);
        if (real.length === 0) expect(estimate).toBeNull();
        else expect(real).toContain(estimate);
      }),
    );
  });

  it('is moved little by one build that took a thousand times as long, wherever it comes', () => {
    const usual = fc.array(fc.integer({ min: 900, max: 1100 }), { minLength: 2, maxLength: 20 });
    fc.assert(
      fc.property(usual, fc.nat(), (durations, at) => {
        const disturbed = durations.toSpliced(at % (durations.length + 1), 0, 1_000_000);
        const estimate = estimateDuration(learn(disturbed)) ?? 0;
        expect(estimate).toBeGreaterThanOrEqual(900);
        expect(estimate).toBeLessThanOrEqual(1100);
      }),
    );
  });

  it('follows a package that became slower or faster for good', () => {
    const durations = fc.array(fc.integer({ min: 0, max: 100_000 }), { maxLength: 30 });
    fc.assert(
      fc.property(durations, fc.integer({ min: 0, max: 1_000_000 }), (before, now) => {
        const enough = Array.from({ length: (recentDurationsKept + 1) / 2 }, () => now);
        const estimate = estimateDuration(learn([...before, ...enough]));
        expect(estimate).toBe(now);
      }),
    );
  });
});

describe('what builds are expected to take', () => {
  it('their own past, else that of their system, fetches apart, else one second', () => {
    const expected = takeAll(
      expectDurations([
        { ...key('a'), recentMs: [2000] },
        { ...key('b'), recentMs: [4000] },
        { ...key('c'), recentMs: [600_000] },
        { ...key('a', { fixedOutput: true }), recentMs: [500] },
        { ...key('instant'), recentMs: [0] },
        { ...key('unheard'), recentMs: [] },
      ]),
    );
    expect(expected(key('a'))).toBe(2);
    expect(expected(key('a', { fixedOutput: true }))).toBe(0.5);
    expect(expected(key('new'))).toBe(2);
    expect(expected(key('unheard'))).toBe(2);
    expect(expected(key('new', { fixedOutput: true }))).toBe(0.5);
    expect(expected(key('a', { system: 'aarch64-linux' }))).toBe(1);
    expect(expected(key('instant'))).toBeGreaterThan(0);
  });
});
