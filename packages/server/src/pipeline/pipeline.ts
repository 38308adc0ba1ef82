// THE STORY of one change: checkout → evaluate → ingest and plan → build → judge. Each stage is a file of its own.
import { join } from 'node:path';
import type { UnjudgedJob } from '@eka-ci/core/change-summary/build';
import type { ChangeSummary, Notice } from '@eka-ci/core/change-summary/document';
import { DrvGraph } from '@eka-ci/core/drv-graph';
import type { EvaluationFailure, Jobset } from '@eka-ci/core/evaluation';
import type { DrvPath } from '@eka-ci/core/ids';
import type { NameRules } from '@eka-ci/core/package-changes';
import { planRebuilds } from '@eka-ci/core/rebuild-plan';
import type { Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { matchesChangeSet } from '../config/change-sets.ts';
import type { Database } from '../database/database.ts';
import type { Git } from '../git/git.ts';
import { type BuildStage, type BuiltChange, buildChange } from './build.ts';
import { type CheckedOut, type CheckoutRequest, checkOut } from './checkout.ts';
import { type EvaluateSidesDeps, evaluateSides, type SideLimits } from './evaluate-sides.ts';
import { ingestClosure } from './ingest.ts';
import { judgeChange, nothingBuilt, type PlannedJob, renderSummary } from './judge.ts';
import { type JobsToJudge, type JudgedJobPair, loadJobs } from './load-jobs.ts';
import { measureSizes } from './measure-sizes.ts';

export interface PipelineDeps {
  readonly git: Git;
  readonly evaluator: Evaluator;
  readonly database: Database;
  readonly builds: BuildStage;
  readonly nameRules: NameRules;
  readonly nix: { readonly version: string; readonly storeDir: string };
  /** The system that flake jobs are evaluated for. */
  readonly system: string;
  readonly onEvent: (event: ReviewEvent) => void;
}

export interface PipelineRequest extends CheckoutRequest {
  /** For people, in the summary. */
  readonly repository: string | null;
  /** Names; empty means all. */
  readonly jobs: readonly string[];
  readonly build: boolean;
  readonly limits: SideLimits;
  /** Empty, and the caller's to remove. */
  readonly folder: string;
}

export interface Judgement {
  readonly summary: ChangeSummary;
  readonly markdown: string;
}

/** Thrown when the head cannot be merged into the base: there is no tree to judge. */
export class MergeError extends Error {
  readonly code: 'MERGE_CONFLICT' | 'MERGE_UNRELATED';
  constructor(code: 'MERGE_CONFLICT' | 'MERGE_UNRELATED', message: string) {
    super(message);
    this.name = 'MergeError';
    this.code = code;
  }
}

const requireTree = async (
  deps: PipelineDeps,
  request: PipelineRequest,
  signal: AbortSignal,
): Promise<CheckedOut> => {
  const checkout = await checkOut(deps.git, request, { folder: request.folder, signal });
  const { base, head } = checkout;
  switch (checkout.kind) {
    case 'checked-out':
      deps.onEvent({
        type: 'checked-out',
        base,
        head,
        judgedTree: checkout.judgedTree,
        merged: checkout.merged,
        nixVersion: deps.nix.version,
        evaluator: deps.evaluator.name,
      });
      return checkout;
    case 'conflict': {
      const files = checkout.files.map(({ path, kind }) => `  ${path} (${kind})`).join('\n');
      throw new MergeError(
        'MERGE_CONFLICT',
        `${head.revision} conflicts with ${base.revision}; merge or rebase it first. In conflict:\n${files}`,
      );
    }
    case 'unrelated':
      throw new MergeError(
        'MERGE_UNRELATED',
        `${head.revision} and ${base.revision} share no history, so there is no merge to judge; --no-merge judges the head as it is`,
      );
  }
};

const exportTrees = async ({ mirror, base, judgedTree }: CheckedOut, folder: string) => {
  const baseTree = await mirror.exportTree(base.tree, join(folder, 'base'));
  if (base.tree === judgedTree) return { base: baseTree, judged: baseTree };
  return { base: baseTree, judged: await mirror.exportTree(judgedTree, join(folder, 'judged')) };
};

/** What the paths of the diff alone prove, as the base's configuration says; null where they prove nothing. */
const provenUntouched = async (checkout: CheckedOut, { baseConfig }: JobsToJudge): Promise<string | null> => {
  const changeSets = baseConfig?.change_sets ?? [];
  if (changeSets.length === 0) return null;
  const paths = await checkout.mirror.changedPaths(checkout.base.tree, checkout.judgedTree);
  const kind = matchesChangeSet(changeSets, paths);
  if (kind === null || kind === 'full-rebuild') return null;
  return `Every path of the change is ${kind} by the base's change_sets: nothing can rebuild, nothing was evaluated.`;
};

const warnings = (about: Notice['about'], messages: readonly string[]): Notice[] =>
  messages.map((message) => ({ level: 'warning', about, message }));

const drvPathsOf = ({ records }: Jobset): DrvPath[] =>
  records.flatMap((record) => (record.kind === 'derivation' ? [record.drvPath] : []));

const unevaluated = (job: string, failure: EvaluationFailure, notices: readonly Notice[]): UnjudgedJob => {
  const { position, message } = failure;
  const place = position === null ? '' : ` at ${position.file}:${position.line}:${position.column}`;
  const conclusion = failure.kind === 'timeout' ? 'timed-out' : 'failure';
  return { kind: 'not-judged', job, conclusion, reason: `${message}${place}`, notices };
};

interface PlanStage {
  readonly deps: PipelineDeps;
  readonly graph: DrvGraph;
  readonly evaluation: EvaluateSidesDeps;
  readonly signal: AbortSignal;
}

const planJob = async (stage: PlanStage, pair: JudgedJobPair): Promise<PlannedJob | UnjudgedJob> => {
  const { deps, graph, signal } = stage;
  const sides = await evaluateSides(stage.evaluation, pair, signal);
  const notices = warnings('evaluation', sides.warnings);
  if (sides.kind === 'failed') return unevaluated(pair.name, sides.failure, notices);
  const { base, judged } = sides;
  const roots = new Set([...drvPathsOf(base), ...drvPathsOf(judged)]);
  await ingestClosure({ storeDir: deps.nix.storeDir, graph, database: deps.database }, [...roots], signal);
  return { kind: 'planned', job: pair.judged, plan: planRebuilds({ base, judged, graph }), notices };
};

const planJobs = async (stage: PlanStage, { jobs }: JobsToJudge): Promise<(PlannedJob | UnjudgedJob)[]> => {
  const planned: (PlannedJob | UnjudgedJob)[] = [];
  // One after the other: each evaluation already uses every worker it may.
  for (const pair of jobs) {
    const job = await planJob(stage, pair);
    planned.push(job);
    if (job.kind !== 'planned') continue;
    const { added, removed, changed, unchanged } = job.plan.counts;
    const rebuilds = job.plan.rootsToBuild.length;
    stage.deps.onEvent({ type: 'planned', job: pair.name, added, removed, changed, unchanged, rebuilds });
  }
  return planned;
};

const plansOf = (jobs: readonly (PlannedJob | UnjudgedJob)[]) =>
  jobs.flatMap((job) => (job.kind === 'planned' ? [job.plan] : []));

const untouched = ({ jobs }: JobsToJudge, reason: string): UnjudgedJob[] =>
  jobs.map(({ name }) => ({ kind: 'not-judged', job: name, conclusion: 'success', reason, notices: [] }));

/**
 * Judges one change. Everything it starts has ended when it settles.
 * @throws GitError, MergeError, LoadJobsError, DerivationFileError, DatabaseError, StoreQueryError, StartError; the
 *   signal's reason when it aborts
 */
export const runPipeline = async (
  deps: PipelineDeps,
  request: PipelineRequest,
  signal: AbortSignal,
): Promise<Judgement> => {
  const checkout = await requireTree(deps, request, signal);
  const jobs = await loadJobs(checkout, request.jobs, deps.system);
  const graph = new DrvGraph();
  const proof = await provenUntouched(checkout, jobs);
  let planned: readonly (PlannedJob | UnjudgedJob)[];
  let built: BuiltChange | null = null;
  if (proof === null) {
    const evaluation: EvaluateSidesDeps = {
      evaluator: deps.evaluator,
      limits: request.limits,
      trees: await exportTrees(checkout, request.folder),
      rootsDir: join(request.folder, 'roots'),
      onEvent: deps.onEvent,
    };
    planned = await planJobs({ deps, graph, evaluation, signal }, jobs);
    if (request.build) built = await buildChange(deps.builds, { graph, plans: plansOf(planned) }, signal);
  } else {
    planned = untouched(jobs, proof);
  }
  const { base, head, judgedTree, merged } = checkout;
  const summary = judgeChange({
    change: {
      repository: request.repository,
      number: null,
      baseSha: base.sha,
      headSha: head.sha,
      judgedTree,
      merged,
    },
    jobs: planned,
    graph,
    outcomes: built?.outcomes ?? nothingBuilt,
    sizes: built === null ? null : await measureSizes(deps.builds.store, { graph, plans: plansOf(planned) }),
    config: jobs.judgedConfig,
    nameRules: deps.nameRules,
    notices: warnings('configuration', jobs.warnings),
  });
  return { summary, markdown: renderSummary(summary, jobs.judgedConfig) };
};
