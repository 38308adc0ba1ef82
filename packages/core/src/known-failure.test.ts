import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BuildCause, BuildState } from './build-state.ts';
import {
  describeKnownFailure,
  knownFailureCause,
  type RecordedEnding,
  wasBuiltAgain,
} from './known-failure.ts';

const states = [
  'queued',
  'building',
  'succeeded',
  'failed',
  'dependency-failed',
  'interrupted',
  'unsatisfiable',
] as const satisfies readonly BuildState[];

/** In the words of the specification: what is never believed stands here, whatever the code lists. */
const own = ['builder-exit', 'missing-output', 'output-rejected', 'not-deterministic'] as const;
const others = [
  'hash-mismatch',
  'invalid-derivation',
  'network',
  'lost-builder',
  'out-of-memory',
  'disk-full',
  'process-death',
  'timeout',
  'max-duration',
  'log-limit',
  'cancelled',
  'scheduler-death',
  'built',
  'substituted',
  'already-valid',
] as const satisfies readonly BuildCause[];

const dayMs = 24 * 60 * 60_000;
const ending = fc.record({
  state: fc.oneof(
    { weight: 3, arbitrary: fc.constant<BuildState>('failed') },
    { weight: 1, arbitrary: fc.constantFrom<BuildState>(...states) },
  ),
  cause: fc.constantFrom<BuildCause | null>(null, ...own, ...others),
  finishedAtMs: fc.option(fc.integer({ min: 0, max: 40 * dayMs }), { freq: 9 }),
  cleared: fc.boolean(),
});

describe('a failure on record', () => {
  it('stands where it is its own, recent, and not cleared; in no other case', () => {
    fc.assert(
      fc.property(ending, fc.integer({ min: 0, max: 40 * dayMs }), fc.nat(30), (given, nowMs, days) => {
        const known = knownFailureCause(given, { nowMs, maxAgeMs: days * dayMs });
        const isOwn = given.state === 'failed' && own.some((cause) => cause === given.cause);
        const age =
          given.finishedAtMs === null ? Number.POSITIVE_INFINITY : Math.abs(nowMs - given.finishedAtMs);
        expect(known).toBe(isOwn && !given.cleared && age < days * dayMs ? given.cause : null);
      }),
      { numRuns: 2000 },
    );
  });

  it('is never known where failures are kept for no day, also under a clock that stands still', () => {
    const failed: RecordedEnding = {
      state: 'failed',
      cause: 'builder-exit',
      finishedAtMs: dayMs,
      cleared: false,
    };
    expect(knownFailureCause(failed, { nowMs: dayMs, maxAgeMs: 0 })).toBeNull();
    expect(knownFailureCause(failed, { nowMs: dayMs, maxAgeMs: 1 })).toBe('builder-exit');
  });

  it('was doubted where it came twice in a row', () => {
    const failed = { attempt: 1, state: 'failed', cause: 'builder-exit', logFile: null } as const;
    const built = { attempt: 2, state: 'succeeded', cause: 'built', logFile: null } as const;
    expect(wasBuiltAgain([failed])).toBe(false);
    expect(wasBuiltAgain([failed, failed])).toBe(true);
    expect(wasBuiltAgain([failed, built, failed])).toBe(false);
    expect(wasBuiltAgain([{ ...failed, cause: 'network' }, failed])).toBe(false);
  });

  it('says when it was, and what was said', () => {
    const atMs = Date.UTC(2026, 10, 20, 14, 3, 59);
    expect(describeKnownFailure(atMs, 'the builder exited with 1')).toBe(
      'failed before, on 2026-11-20 14:03 UTC: the builder exited with 1',
    );
    expect(describeKnownFailure(atMs, null)).toBe('failed before, on 2026-11-20 14:03 UTC');
  });
});
