// A part of the composition root that is loaded without the rest of the server: names the drivers of evaluation.
import { chooseEvaluator } from '@eka-ci/nix/evaluator/choose-evaluator';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { findEvaluationPlace } from './sandbox/evaluation-place.ts';
import { createSocketEvaluator } from './sandbox/socket/socket-evaluator.ts';
import type { OpenEvaluator } from './wiring/evaluating.ts';

/** Evaluations go where checks go, but for the server's own process, which needs no child for them. */
export const openEvaluator = (
  env: NodeJS.ProcessEnv,
  nix: NixInstallation,
  onBounds: (bounds: readonly string[]) => void,
): OpenEvaluator => {
  const place = findEvaluationPlace(env, nix);
  if (place.kind === 'server') return { place, evaluator: chooseEvaluator(nix) };
  return { place, evaluator: createSocketEvaluator({ socketPath: place.socketPath, nix, onBounds }) };
};
