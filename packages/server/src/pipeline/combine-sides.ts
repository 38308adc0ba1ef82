// What the evaluations of both trees come to together: two jobsets to compare, or why there is nothing to compare.
import {
  type EvaluationFailure,
  type EvaluationRecord,
  isPassing,
  type Jobset,
} from '@eka-ci/core/evaluation';
import type { Evaluation } from './evaluate.ts';

export type CombinedSides =
  | {
      readonly kind: 'evaluated';
      readonly base: Jobset;
      readonly judged: Jobset;
      readonly warnings: readonly string[];
    }
  | {
      readonly kind: 'failed';
      /**
       * `new`: the judged tree does not evaluate, and that is the change's doing. `as-on-base`: the base fails alike.
       * `unknown`: the surroundings ended one of them, so nothing was learned.
       */
      readonly because: 'new' | 'as-on-base' | 'unknown';
      readonly failure: EvaluationFailure;
      readonly warnings: readonly string[];
    };

const failedAlike = (base: Evaluation | null, { kind, message }: EvaluationFailure): boolean =>
  base?.kind === 'failed' && base.failure.kind === kind && base.failure.message === message;

const ofTheBase = (failure: EvaluationFailure): EvaluationFailure => ({
  ...failure,
  message: `the base could not be evaluated: ${failure.message}`,
});

/** A base whose root fails is one on which every attribute does: what fails now is then not new. */
const failingBase = (judged: Jobset, failure: EvaluationFailure): Jobset => ({
  job: judged.job,
  records: judged.records.map(
    ({ attr, attrPath }): EvaluationRecord => ({ kind: 'failed', attr, attrPath, failure }),
  ),
});

/** @param base null where the base does not have the job */
export const combineSides = (job: string, base: Evaluation | null, judged: Evaluation): CombinedSides => {
  const warnings = [...new Set([...(base?.warnings ?? []), ...judged.warnings])];
  if (judged.kind === 'failed') {
    const { failure } = judged;
    if (isPassing(failure)) return { kind: 'failed', because: 'unknown', failure, warnings };
    const because = failedAlike(base, failure) ? 'as-on-base' : 'new';
    return { kind: 'failed', because, failure, warnings };
  }
  const { jobset } = judged;
  if (base === null) return { kind: 'evaluated', base: { job, records: [] }, judged: jobset, warnings };
  if (base.kind === 'complete') return { kind: 'evaluated', base: base.jobset, judged: jobset, warnings };
  if (isPassing(base.failure)) {
    return { kind: 'failed', because: 'unknown', failure: ofTheBase(base.failure), warnings };
  }
  const warning = `The base does not evaluate (${base.failure.message}): nothing that fails can be called new.`;
  return {
    kind: 'evaluated',
    base: failingBase(jobset, base.failure),
    judged: jobset,
    warnings: [...warnings, warning],
  };
};
