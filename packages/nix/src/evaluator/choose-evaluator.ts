// Which evaluator serves this installation.
import type { NixInstallation } from '../installation.ts';
import type { Evaluator } from './evaluator.ts';
import { createNixEvalJobsEvaluator } from './nix-eval-jobs/nix-eval-jobs.ts';
import { createStockEvaluator, type StockEvaluatorDeps } from './stock/stock-evaluator.ts';

/** `nix-eval-jobs` where it is on PATH, since it survives every error without a restart; else the stock driver. */
export const chooseEvaluator = (nix: NixInstallation, deps: StockEvaluatorDeps = {}): Evaluator =>
  nix.programs.evalJobs === null ? createStockEvaluator(nix, deps) : createNixEvalJobsEvaluator(nix, deps);
