// Where evaluations run, and whether they will: found out at a start and not by the first change.
import type { Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import type { Logger } from '../lib/logger.ts';
import type { EvaluationPlace } from '../sandbox/evaluation-place.ts';
import { tryEvaluator } from '../sandbox/evaluation-trial.ts';

export interface OpenEvaluator {
  readonly evaluator: Evaluator;
  readonly place: EvaluationPlace;
}

/** Says where; and what is wrong with the runner, once that is known or the signal aborts. Never rejects. */
export const tryEvaluations = async (
  { evaluator, place }: OpenEvaluator,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> => {
  if (place.kind === 'server') {
    const { why, isExpected } = place;
    const said = 'evaluations run in this process and as its user, in bubblewrap';
    return isExpected ? logger.info(said, { why }) : logger.warn(said, { why });
  }
  const { socketPath: socket } = place;
  try {
    const why = await tryEvaluator(evaluator, signal);
    if (why === null) return;
    logger.error('the sandbox does not evaluate: every evaluation fails until it does', { socket, why });
  } catch (err) {
    if (!signal.aborted) logger.error('the sandbox could not be tried', { socket, err });
  }
};
