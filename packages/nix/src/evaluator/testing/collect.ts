// Reads an evaluation to its end.
import type { EvaluationRecord } from '@eka-ci/core/evaluation';
import type { EvaluationEnd, EvaluationEvent, EvaluationRequest, Evaluator } from '../evaluator.ts';

export interface Collected {
  readonly end: EvaluationEnd;
  readonly records: readonly EvaluationRecord[];
  readonly logs: readonly string[];
  readonly warnings: readonly string[];
  readonly events: readonly EvaluationEvent[];
  /** Milliseconds from the start to the first record. */
  readonly firstRecordMs: number;
}

export const collectEvaluation = async (
  evaluator: Evaluator,
  request: EvaluationRequest,
  options: { readonly signal?: AbortSignal; readonly onEvent?: (event: EvaluationEvent) => void } = {},
): Promise<Collected> => {
  const startedAt = performance.now();
  let firstRecordMs = Number.NaN;
  const events: EvaluationEvent[] = [];
  const stream = evaluator.evaluate(request, options.signal ?? new AbortController().signal);
  for (;;) {
    const step = await stream.next();
    if (step.done) {
      const records = events.flatMap((event) => (event.type === 'record' ? [event.record] : []));
      const logs = events.flatMap((event) => (event.type === 'log' ? [event.line] : []));
      const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
      return { end: step.value, records, logs, warnings, events, firstRecordMs };
    }
    if (step.value.type === 'record' && Number.isNaN(firstRecordMs))
      firstRecordMs = performance.now() - startedAt;
    events.push(step.value);
    options.onEvent?.(step.value);
  }
};
