import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BuildState,
  type BuildStep,
  IllegalBuildStepError,
  isSettled,
  isTransient,
  nextState,
} from './build-state.ts';

const states: readonly BuildState[] = [
  'queued',
  'buildable',
  'building',
  'succeeded',
  'failed',
  'dependency-failed',
  'interrupted',
  'unsatisfiable',
];
const steps: readonly BuildStep[] = [
  'enqueue',
  'inputs-ready',
  'start',
  'succeed',
  'fail',
  'fail-dependency',
  'interrupt',
  'retry',
  'find-unsatisfiable',
];

const legalFrom = (state: BuildState | null): BuildStep[] =>
  steps.filter((step) => {
    try {
      nextState(state, step);
      return true;
    } catch (error) {
      expect(error).toBeInstanceOf(IllegalBuildStepError);
      return false;
    }
  });

describe('the table of build states', () => {
  it('has these steps and no others', () => {
    const table = [null, ...states].map((state) => [
      state,
      legalFrom(state).map((step) => `${step} -> ${nextState(state, step)}`),
    ]);
    expect(Object.fromEntries(table)).toEqual({
      null: ['enqueue -> queued'],
      queued: [
        'inputs-ready -> buildable',
        'succeed -> succeeded',
        'fail-dependency -> dependency-failed',
        'interrupt -> interrupted',
        'find-unsatisfiable -> unsatisfiable',
      ],
      buildable: [
        'start -> building',
        'succeed -> succeeded',
        'interrupt -> interrupted',
        'find-unsatisfiable -> unsatisfiable',
      ],
      building: [
        'succeed -> succeeded',
        'fail -> failed',
        'fail-dependency -> dependency-failed',
        'interrupt -> interrupted',
        'find-unsatisfiable -> unsatisfiable',
      ],
      succeeded: ['enqueue -> queued'],
      failed: ['enqueue -> queued'],
      'dependency-failed': ['enqueue -> queued'],
      interrupted: ['enqueue -> queued', 'retry -> buildable'],
      unsatisfiable: ['enqueue -> queued', 'interrupt -> interrupted'],
    });
  });

  it('never fails or succeeds a build out of a resting state, whatever is done to it', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...steps)), (walk) => {
        let state: BuildState | null = null;
        for (const step of walk) {
          if (!legalFrom(state).includes(step)) continue;
          const next: BuildState = nextState(state, step);
          if (state !== null && isSettled(state))
            expect(['queued', 'buildable', 'interrupted']).toContain(next);
          if (next === 'building') expect(state).toBe('buildable');
          if (next === 'failed') expect(state).toBe('building');
          state = next;
        }
      }),
    );
  });

  it('blames the surroundings for what another try may mend, and nothing else', () => {
    expect(isTransient('out-of-memory')).toBe(true);
    expect(isTransient('builder-exit')).toBe(false);
    expect(isTransient('timeout')).toBe(false);
    expect(isTransient('cancelled')).toBe(false);
  });
});
