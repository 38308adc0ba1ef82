// Evaluations by the runner of the sandbox's unit, as `--check-config` shows them: tried with a small one.
import { findNix, NixNotFoundError } from '@eka-ci/nix/installation';
import { openEvaluator } from '../open-evaluator.ts';
import { tryEvaluator } from '../sandbox/evaluation-trial.ts';

/** A line. */
export const checkEvaluations = async (env: NodeJS.ProcessEnv): Promise<string> => {
  try {
    const { evaluator, place } = openEvaluator(env, await findNix(env), () => {});
    if (place.kind === 'server') return `Evaluations run in the server's process: ${place.why}\n`;
    const why = await tryEvaluator(evaluator, new AbortController().signal);
    return why === null
      ? `The sandbox at ${place.socketPath} evaluates.\n`
      : `The sandbox at ${place.socketPath} does not evaluate, and so nothing is: ${why}\n`;
  } catch (error) {
    if (!(error instanceof NixNotFoundError)) throw error;
    return `Whether the sandbox evaluates was not tried: ${error.message}\n`;
  }
};
