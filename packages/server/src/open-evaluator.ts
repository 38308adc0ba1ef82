// A part of the composition root that is loaded without the rest of the server: names the drivers of evaluation.
import { chooseEvaluator } from '@eka-ci/nix/evaluator/choose-evaluator';
import { createProcessRooting, createRootKeeper, type RootPaths } from '@eka-ci/nix/gc-roots';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { findEvaluationPlace } from './sandbox/evaluation-place.ts';
import { createSocketEvaluator } from './sandbox/socket/socket-evaluator.ts';
import type { OpenEvaluator } from './wiring/evaluating.ts';

export interface EvaluatorSettings {
  /** Of what was evaluated. @default by processes */
  readonly rootPaths?: RootPaths;
  /** Told once: what holds evaluations back where a runner does them. */
  readonly onBounds: (bounds: readonly string[]) => void;
}

/** Evaluations go where checks go, but for the server's own process, which needs no child for them. */
export const openEvaluator = (
  env: NodeJS.ProcessEnv,
  nix: NixInstallation,
  { rootPaths = createProcessRooting(nix), onBounds }: EvaluatorSettings,
): OpenEvaluator => {
  const place = findEvaluationPlace(env, nix);
  const openRoots = (dir: string) => createRootKeeper(rootPaths, dir);
  if (place.kind === 'server') return { place, evaluator: chooseEvaluator(nix, { openRoots }) };
  return {
    place,
    evaluator: createSocketEvaluator({ socketPath: place.socketPath, nix, rootPaths, onBounds }),
  };
};
