// Evaluations by the runner of the sandbox's unit, as `--check-config` shows them: tried with a small one.
import { findNix, NixNotFoundError } from '@eka-ci/nix/installation';
import { openEvaluator } from '../open-evaluator.ts';
import { tryEvaluator } from '../sandbox/evaluation-trial.ts';

export interface CheckedEvaluations {
  /** A line. */
  readonly found: string;
  /** Whether the runner is to evaluate. */
  readonly byRunner: boolean;
  /** What holds it back there, where it did. */
  readonly bounds: readonly string[];
}

export const checkEvaluations = async (env: NodeJS.ProcessEnv): Promise<CheckedEvaluations> => {
  const bounds: string[] = [];
  try {
    const onBounds = (told: readonly string[]) => void bounds.push(...told);
    const { evaluator, place } = openEvaluator(env, await findNix(env), { onBounds });
    if (place.kind === 'server') {
      const found = `Evaluations run in the server's process: ${place.why}\n`;
      return { found, byRunner: false, bounds };
    }
    const why = await tryEvaluator(evaluator, new AbortController().signal);
    const found =
      why === null
        ? `The sandbox at ${place.socketPath} evaluates.\n`
        : `The sandbox at ${place.socketPath} does not evaluate, and so nothing is: ${why}\n`;
    return { found, byRunner: true, bounds };
  } catch (error) {
    if (!(error instanceof NixNotFoundError)) throw error;
    const found = `Whether the sandbox evaluates was not tried: ${error.message}\n`;
    return { found, byRunner: false, bounds };
  }
};
