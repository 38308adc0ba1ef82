// An evaluator whose work a runner behind a socket does.
import type { Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import { createRunnerEvaluator, type RunnerEvaluatorDeps } from '../evaluation-client.ts';
import { connectRunner } from './socket-connection.ts';

export interface SocketEvaluatorDeps extends Omit<RunnerEvaluatorDeps, 'connect'> {
  readonly socketPath: string;
  /** What a runner has to end when it is told to. @default ten seconds */
  readonly patienceMs?: number;
}

export const createSocketEvaluator = ({ socketPath, patienceMs, ...deps }: SocketEvaluatorDeps): Evaluator =>
  createRunnerEvaluator({ ...deps, connect: () => connectRunner(socketPath, patienceMs) });
