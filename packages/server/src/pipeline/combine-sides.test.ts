import type { EvaluationFailure, EvaluationFailureKind, Jobset } from '@eka-ci/core/evaluation';
import { expect, it } from 'vitest';
import { combineSides } from './combine-sides.ts';
import type { Evaluation } from './evaluate.ts';

const failure = (kind: EvaluationFailureKind, message = 'it broke'): EvaluationFailure => {
  return { kind, message, position: null };
};
const failed = (kind: EvaluationFailureKind, message?: string): Evaluation => {
  return { kind: 'failed', failure: failure(kind, message), warnings: [] };
};
const jobset: Jobset = {
  job: 'packages',
  records: [{ kind: 'failed', attr: 'a', attrPath: ['a'], failure: failure('throw') }],
};
const complete: Evaluation = { kind: 'complete', jobset, warnings: [] };

const because = (base: Evaluation | null, judged: Evaluation): string => {
  const sides = combineSides('packages', base, judged);
  return sides.kind === 'failed' ? sides.because : sides.kind;
};

it('blames the change only for what it did', () => {
  expect(because(complete, failed('syntax'))).toBe('new');
  expect(because(null, failed('syntax'))).toBe('new');
  expect(because(failed('throw', 'another'), failed('throw'))).toBe('new');
  expect(because(failed('throw'), failed('throw'))).toBe('as-on-base');
});

it('learns nothing from an evaluation that its surroundings ended', () => {
  for (const kind of ['timeout', 'out-of-memory', 'killed', 'network'] as const) {
    expect([kind, because(complete, failed(kind))]).toEqual([kind, 'unknown']);
    expect([kind, because(failed(kind), complete)]).toEqual([kind, 'unknown']);
  }
});

it('calls nothing new where the whole base throws', () => {
  const sides = combineSides('packages', failed('throw'), complete);
  expect(sides).toMatchObject({ kind: 'evaluated', base: { records: [{ kind: 'failed', attr: 'a' }] } });
  expect(sides.warnings).toHaveLength(1);
});
