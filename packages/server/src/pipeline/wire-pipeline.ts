// Puts the pipeline of one judgement together from parts that live longer than it.
import { compareVersions, splitDrvName } from '@eka-ci/nix/drv-name';
import type { Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import { createProcessRooting, type RootPaths } from '@eka-ci/nix/gc-roots';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { createStoreQueries, type StoreQueries, type StoreQueryOptions } from '@eka-ci/nix/store-queries';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import type { Database } from '../database/database.ts';
import type { Git } from '../git/git.ts';
import type { BuildPurpose, BuildStage } from './builds/build.ts';
import { createOutputRoots } from './builds/output-roots.ts';
import { openGate, type StartGate } from './builds/start-gate.ts';
import type { EvaluationBudget } from './evaluation-budget.ts';
import type { EvaluationLine } from './evaluation-line.ts';
import type { KeptJobsets } from './kept-jobsets.ts';
import type { PipelineDeps } from './pipeline.ts';

export interface PipelineParts {
  readonly nix: NixInstallation;
  readonly git: Git;
  /** @default a process of Nix for each question */
  readonly queries?: (options: StoreQueryOptions) => StoreQueries;
  /** @default by processes */
  readonly rootPaths?: RootPaths;
  readonly database: Database;
  readonly kept: KeptJobsets | null;
  readonly scheduler: BuildStage['scheduler'];
  readonly evaluator: Evaluator;
  readonly evaluations: EvaluationLine;
  readonly budget: EvaluationBudget;
  readonly graph: PipelineDeps['graph'];
  /** The one that flakes' outputs are taken for. */
  readonly system: string;
  readonly purpose: BuildPurpose;
  /** While it is shut no evaluation begins. @default always open */
  readonly gate?: StartGate;
  /** Where each judgement gets a folder of roots for its outputs; without it they are not kept. */
  readonly outputRootsDir?: string;
  readonly prefetch?: NonNullable<PipelineDeps['prefetch']>;
  readonly onEvent: (event: ReviewEvent) => void;
  readonly keepPackages?: NonNullable<PipelineDeps['keepPackages']>;
  readonly checks?: NonNullable<PipelineDeps['checks']>;
  readonly publishing?: NonNullable<PipelineDeps['publishing']>;
  readonly signal: AbortSignal;
}

type BuildParts = Pick<
  PipelineParts,
  | 'nix'
  | 'queries'
  | 'rootPaths'
  | 'database'
  | 'scheduler'
  | 'purpose'
  | 'outputRootsDir'
  | 'onEvent'
  | 'signal'
>;

export const wireBuilds = (parts: BuildParts): BuildStage => {
  const { nix, database, scheduler, purpose, outputRootsDir, onEvent, signal } = parts;
  const { queries = (options) => createStoreQueries(nix, options) } = parts;
  const { rootPaths = createProcessRooting(nix) } = parts;
  return {
    scheduler,
    purpose,
    records: database,
    store: queries({ signal }),
    onEvent,
    ...(outputRootsDir === undefined ? {} : { outputRoots: createOutputRoots(rootPaths, outputRootsDir) }),
  };
};

/** The pipeline of one judgement, which ends with the signal. */
export const wirePipeline = (parts: PipelineParts): PipelineDeps => {
  const { nix, git, database, kept, evaluator, evaluations, budget, graph, system, onEvent } = parts;
  const { gate = openGate, keepPackages, prefetch, checks, publishing } = parts;
  return {
    git,
    evaluator,
    database,
    kept,
    builds: wireBuilds(parts),
    evaluations,
    budget,
    graph,
    gate,
    nameRules: { splitName: splitDrvName, compareVersions },
    nix,
    system,
    onEvent,
    ...(keepPackages === undefined ? {} : { keepPackages }),
    ...(prefetch === undefined ? {} : { prefetch }),
    ...(checks === undefined ? {} : { checks }),
    ...(publishing === undefined ? {} : { publishing }),
  };
};
