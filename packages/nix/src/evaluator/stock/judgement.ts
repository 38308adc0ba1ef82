// What a worker's death means for the attribute it had in hand. Pure: the whole policy of retries is here.
import type { EvaluationFailure } from '@eka-ci/core/evaluation';
import { attributeTimeoutMs, type EvaluationLimits } from '../evaluator.ts';
import { describeNixError, explainNetwork, positionIn, type SourceRoots } from '../failure.ts';
import type { WorkItem } from './expression.ts';
import type { UnfinishedItem } from './record-stream.ts';
import type { Death } from './worker.ts';

export type Judgement =
  /** The attribute is settled as failed. */
  | { readonly kind: 'failed'; readonly failure: EvaluationFailure }
  /** Its derivation is known; only its meta could not be read. */
  | {
      readonly kind: 'without-meta';
      readonly drvPath: string;
      readonly known: boolean;
      readonly failure: EvaluationFailure;
    }
  /** To the front of the queue. */
  | { readonly kind: 'again'; readonly item: WorkItem };

interface Context {
  readonly limits: EvaluationLimits;
  readonly allowNetwork: boolean;
  readonly roots: SourceRoots;
}

const failureOf = (death: Death, { item, place }: UnfinishedItem, context: Context): EvaluationFailure => {
  const { limits, roots } = context;
  const position = place === null ? null : positionIn([place], roots);
  switch (death.cause) {
    case 'error': {
      const failure = explainNetwork(
        describeNixError(death.error, roots, !item.guarded),
        context.allowNetwork,
      );
      return failure.position === null ? { ...failure, position } : failure;
    }
    case 'memory': {
      const used = Math.ceil(death.usedMib);
      const message = `used ${used} MiB, more than the ${limits.maxMemoryMib} MiB that one evaluation worker may (evaluation.max_memory_mib)`;
      return { kind: 'out-of-memory', message, position };
    }
    case 'timeout': {
      const seconds = Math.round(attributeTimeoutMs(limits) / 100) / 10;
      return { kind: 'timeout', message: `was not evaluated after ${seconds} s`, position };
    }
    case 'killed':
      return { kind: 'killed', message: `the evaluator was ended by ${death.how}, twice`, position };
  }
};

/** Whether somebody else in the same process may be to blame. */
const deservesAnother = (death: Death, { item, index }: UnfinishedItem): boolean => {
  switch (death.cause) {
    case 'error':
    case 'timeout':
      return false;
    case 'memory':
      return index > 0;
    case 'killed':
      return !item.alone;
  }
};

export const judgeDeath = (death: Death, inHand: UnfinishedItem, context: Context): Judgement => {
  const { item, facts, threw } = inHand;
  if (deservesAnother(death, inHand))
    return { kind: 'again', item: { ...item, alone: death.cause === 'killed' } };
  // It threw before it died: the message is in the throw.
  if (threw && item.guarded) return { kind: 'again', item: { ...item, guarded: false } };
  const failure = failureOf(death, inHand, context);
  return facts === null ? { kind: 'failed', failure } : { kind: 'without-meta', ...facts, failure };
};
