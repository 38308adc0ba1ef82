import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BuildCause, BuildState } from './build-state.ts';
import type { DrvPath } from './ids.ts';
import { findStandingFailure, type PastBuild } from './standing-failure.ts';

const pathOf = (index: number): DrvPath => `/nix/store/${index}.drv` as DrvPath;
const wanted = pathOf(0);
const age = { nowMs: 1000, maxAgeMs: 500 };

const past = fc
  .uniqueArray(
    fc.record({
      index: fc.nat(6),
      end: fc.constantFrom<readonly [BuildState, BuildCause | null]>(
        ['succeeded', 'built'],
        ['queued', null],
        ['failed', 'builder-exit'],
        ['failed', 'network'],
        ['dependency-failed', 'builder-exit'],
        ['interrupted', 'timeout'],
        ['interrupted', 'cancelled'],
        ['interrupted', 'scheduler-death'],
      ),
      finishedAtMs: fc.constantFrom(0, 900),
      cleared: fc.boolean(),
    }),
    { selector: ({ index }) => index },
  )
  .map((all) =>
    all.map(({ index, end: [state, cause], ...rest }): PastBuild => {
      return { drv: pathOf(index), state, cause, ...rest };
    }),
  );

/** By the words of the table: the package's own doing, and what took too long; of late, and not cleared. */
const isAnswer = ({ state, cause, finishedAtMs, cleared }: PastBuild): boolean =>
  !cleared &&
  finishedAtMs === 900 &&
  ((state === 'failed' && cause === 'builder-exit') || (state === 'interrupted' && cause === 'timeout'));

describe('a failure on record', () => {
  it('stands until somebody says otherwise: its own by force, that of another by rebuilding all', () => {
    fc.assert(
      fc.property(past, fc.boolean(), fc.boolean(), (builds, force, rebuildAll) => {
        const standing = findStandingFailure(wanted, builds, { force, rebuildAll, age });
        const own = builds.find((build) => build.drv === wanted && isAnswer(build)) ?? null;
        const others = builds.filter((build) => build.drv !== wanted && isAnswer(build));
        if (rebuildAll) expect(standing).toBeNull();
        else if (own !== null && !force) expect(standing).toBe(own);
        else expect(standing).toBe(others[0] ?? null);
      }),
    );
  });
});
