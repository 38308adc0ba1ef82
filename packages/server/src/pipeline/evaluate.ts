// Stage: one job at one tree → its complete jobset, or why there is none.
import type { EvaluationFailure, EvaluationRecord, Jobset } from '@eka-ci/core/evaluation';
import type { EvaluationRequest, Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import type { EvaluationRoom } from './evaluation-room.ts';

export interface JobEvaluation {
  readonly job: string;
  readonly request: EvaluationRequest;
  /** Systems the job asks for; null means all. Attributes of other systems are left out. */
  readonly systems: readonly string[] | null;
}

export interface EvaluationProgress {
  readonly evaluated: number;
  readonly failed: number;
  readonly known: number;
}

export type Evaluation =
  | { readonly kind: 'complete'; readonly jobset: Jobset; readonly warnings: readonly string[] }
  | { readonly kind: 'failed'; readonly failure: EvaluationFailure; readonly warnings: readonly string[] };

export interface EvaluateDeps {
  readonly evaluator: Evaluator;
  readonly onProgress: (progress: EvaluationProgress) => void;
  /** For what is kept of it: of one that failed nothing is. */
  readonly room: EvaluationRoom;
}

/** Throws what `take` throws, when the evaluation has ended. */
const takeOrEnd = async (
  room: EvaluationRoom,
  record: EvaluationRecord,
  events: ReturnType<Evaluator['evaluate']>,
): Promise<EvaluationFailure | null> => {
  const end = (failure: EvaluationFailure) => events.return({ kind: 'failed', failure });
  try {
    const failure = room.take(record);
    if (failure !== null) await end(failure);
    return failure;
  } catch (error) {
    await end({ kind: 'other', message: String(error), position: null });
    throw error;
  }
};

const isWanted = (record: EvaluationRecord, systems: readonly string[] | null): boolean =>
  systems === null || record.kind !== 'derivation' || systems.includes(record.system);

const byAttr = (a: EvaluationRecord, b: EvaluationRecord): number => {
  if (a.attr === b.attr) return 0;
  return a.attr < b.attr ? -1 : 1;
};

/** @throws the signal's reason when it aborts; StartError when the evaluator cannot be started; CrowdedError */
export const evaluateJob = async (
  { evaluator, onProgress, room }: EvaluateDeps,
  { job, request, systems }: JobEvaluation,
  signal: AbortSignal,
): Promise<Evaluation> => {
  const records: EvaluationRecord[] = [];
  const warnings: string[] = [];
  const events = evaluator.evaluate(request, signal);
  const giveBack = room.mark();
  const failed = (failure: EvaluationFailure): Evaluation => {
    giveBack();
    return { kind: 'failed', failure, warnings };
  };
  for (;;) {
    const next = await events.next();
    if (next.done === true) {
      if (next.value.kind === 'failed') return failed(next.value.failure);
      return { kind: 'complete', jobset: { job, records: records.toSorted(byAttr) }, warnings };
    }
    const event = next.value;
    switch (event.type) {
      case 'record': {
        if (!isWanted(event.record, systems)) break;
        const failure = await takeOrEnd(room, event.record, events);
        if (failure !== null) return failed(failure);
        records.push(event.record);
        break;
      }
      case 'progress':
        onProgress(event);
        break;
      case 'warning':
        warnings.push(event.message);
        break;
      case 'log':
      case 'worker-restarted':
        break;
    }
  }
};
