// THE STORY of one change: checkout → evaluate → ingest and plan → build → judge. Each stage is a file of its own.
import { join } from 'node:path';
import type { UnjudgedJob } from '@eka-ci/core/change-summary/build';
import type { ChangeSummary, Notice } from '@eka-ci/core/change-summary/document';
import type { Jobset } from '@eka-ci/core/evaluation';
import { findHindrances, type Hindrances, noHindrances } from '@eka-ci/core/hindrances';
import type { CommitSha, DrvPath, TreeSha } from '@eka-ci/core/ids';
import type { NameRules } from '@eka-ci/core/package-changes';
import { planRebuilds, type RebuildPlan } from '@eka-ci/core/rebuild-plan';
import type { Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { matchesChangeSet } from '../config/change-sets.ts';
import type { Database } from '../database/database.ts';
import type { Git } from '../git/git.ts';
import { besides } from './besides.ts';
import type { BuildStage } from './builds/build.ts';
import { type BuiltChange, buildChange } from './builds/build-change.ts';
import type { StartGate } from './builds/start-gate.ts';
import { baseTreeOf, type CheckedOut, type CheckoutRequest, checkOut } from './checkout.ts';
import { judgeChecks } from './checks/judge-checks.ts';
import type { CheckStage } from './checks/run-checks.ts';
import type { CombinedSides } from './combine-sides.ts';
import { type EvaluateSidesDeps, evaluateSides, type Side, type SideLimits } from './evaluate-sides.ts';
import type { ChangeRoom, EvaluationBudget } from './evaluation-budget.ts';
import type { EvaluationLine } from './evaluation-line.ts';
import { CrowdedError } from './evaluation-room.ts';
import type { GraphLease, SharedGraph } from './graph/shared-graph.ts';
import { withBuilds } from './hooks/builds-of-jobs.ts';
import type { Job } from './jobs.ts';
import { judgeChange, nothingBuilt, type PlannedJob, renderSummary } from './judge.ts';
import type { KeptJobsets } from './kept-jobsets.ts';
import { loadFile } from './load-file.ts';
import { type JobsToJudge, type JudgedJobPair, loadJobs } from './load-jobs.ts';
import { onceMoreIfLost, refuseLost } from './lost-derivations.ts';
import { measureSizes } from './measure-sizes.ts';
import { type ChangePackages, findPackages } from './people/change-packages.ts';
import type { Prefetch } from './prefetch/prefetch.ts';
import { prefetchSides } from './prefetch/prefetch-sides.ts';
import type { InputReader } from './prefetch/private-inputs.ts';
import {
  type JudgedRoots,
  type Publication,
  type PublishingPlace,
  type PublishRules,
  publicationOf,
  refusedNames,
  unknownNames,
} from './publish/publication.ts';

export interface PipelineDeps {
  readonly git: Git;
  readonly evaluator: Evaluator;
  readonly database: Database;
  /** Jobsets of earlier changes; null judges every tree anew. */
  readonly kept: KeptJobsets | null;
  readonly builds: BuildStage;
  readonly evaluations: EvaluationLine;
  /** Of what they say, for all changes of the process. */
  readonly budget: EvaluationBudget;
  /** While it is shut no evaluation begins. */
  readonly gate: StartGate;
  /** Each judgement leases what it needs of it. */
  readonly graph: Pick<SharedGraph, 'lease'>;
  readonly nameRules: NameRules;
  readonly nix: { readonly version: string; readonly storeDir: string };
  /** The system that flake jobs are evaluated for. */
  readonly system: string;
  readonly onEvent: (event: ReviewEvent) => void;
  /** Told what the change touches as soon as it is planned, before anything of it is built. @default nobody wants to know */
  readonly keepPackages?: (packages: ChangePackages) => Promise<void>;
  /** What lock files lock is fetched before an evaluation. @default nothing is */
  readonly prefetch?: Prefetch;
  /** Where checks are run. @default null: none is, and the summary says so */
  readonly checks?: CheckStage | null;
  /** Who may have what from which cache and hook. @default null: nothing is published, and nobody misses it */
  readonly publishing?: PublishRules | null;
}

export interface BuildLimit {
  readonly builds: number;
  /** For people: what lets them start. */
  readonly howToApprove: string;
}

export interface PipelineRequest extends CheckoutRequest {
  /** Of the change. */
  readonly id: string;
  /** For people, in the summary. */
  readonly repository: string | null;
  /** The change's, in the summary. @default null */
  readonly number?: number;
  /** Names; empty means all. */
  readonly jobs: readonly string[];
  /** This Nix file alone, whatever the configuration says; it comes from outside. @default the configuration's jobs */
  readonly file?: string | null;
  readonly build: boolean;
  /** Where it takes more builds nothing is built before somebody approves. @default null: however many */
  readonly buildLimit?: BuildLimit | null;
  /** What would be newly failing is built once more. @default true */
  readonly buildAgain?: boolean;
  /** Globs of the operator: a diff that touches nothing else is not evaluated. @default none */
  readonly skipPaths?: readonly string[];
  /**
   * Evaluated and kept whatever the paths of the diff say: others will have this tree for their base.
   * @default false
   */
  readonly everyTree?: boolean;
  /** Where it is, for caches and hooks. @default null: nothing of it is published */
  readonly place?: PublishingPlace | null;
  /** The repository of a forge that it is of, which may be given private inputs. @default none */
  readonly inputReader?: InputReader;
  readonly limits: SideLimits;
  /** Its evaluation may fetch what nothing locks. @default false */
  readonly allowNetwork?: boolean;
  /** Its checks may have the network, where the base's configuration lets them. @default false */
  readonly allowCheckNetwork?: boolean;
  /** `required` refuses to evaluate where namespaces are not to be had. */
  readonly sandbox: EvaluateSidesDeps['sandbox'];
  /** Empty, and the caller's to remove. */
  readonly folder: string;
}

export interface Judgement {
  readonly summary: ChangeSummary;
  readonly markdown: string;
  /** What it was judged against; null: nothing. */
  readonly base: CommitSha | null;
  readonly judgedTree: TreeSha;
  /** First line of the head's message: written by anyone, of any length. */
  readonly subject: string;
  /** What may go away without a new head. */
  readonly hindrances: Hindrances;
  /** Null: nothing is. */
  readonly publication: Publication | null;
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
  switch (checkout.kind) {
    case 'checked-out':
      deps.onEvent({
        type: 'checked-out',
        base: checkout.base,
        head: checkout.head,
        judgedTree: checkout.judgedTree,
        merged: checkout.merged,
        nixVersion: deps.nix.version,
        evaluator: deps.evaluator.name,
      });
      return checkout;
    case 'conflict': {
      const { base, head } = checkout;
      const files = checkout.files.map(({ path, kind }) => `  ${path} (${kind})`).join('\n');
      throw new MergeError(
        'MERGE_CONFLICT',
        `${head.revision} conflicts with ${base.revision}; merge or rebase it first. In conflict:\n${files}`,
      );
    }
    case 'unrelated': {
      const { base, head } = checkout;
      throw new MergeError(
        'MERGE_UNRELATED',
        `${head.revision} and ${base.revision} share no history, so there is no merge to judge; --no-merge judges the head as it is`,
      );
    }
  }
};

/** Each tree at most once, and only when it is evaluated: a kept jobset needs none. */
const createTreeExport = (checkout: CheckedOut, folder: string): EvaluateSidesDeps['exportTree'] => {
  const { mirror, judgedTree } = checkout;
  const exported = new Map<TreeSha, Promise<string>>();
  return (side) => {
    const tree = side === 'base' ? baseTreeOf(checkout) : judgedTree;
    const known = exported.get(tree) ?? mirror.exportTree(tree, join(folder, side));
    exported.set(tree, known);
    return known;
  };
};

/** What the paths of the diff alone say, by the base's configuration and the operator's. */
const changeSetOf = async (
  checkout: CheckedOut,
  { baseConfig }: JobsToJudge,
  skipPaths: readonly string[],
) => {
  const skipped = skipPaths.length === 0 ? [] : [{ paths: [...skipPaths], kind: 'no-op' as const }];
  const changeSets = [...(baseConfig?.change_sets ?? []), ...skipped];
  if (changeSets.length === 0) return null;
  const paths = await checkout.mirror.changedPaths(baseTreeOf(checkout), checkout.judgedTree);
  return matchesChangeSet(changeSets, paths);
};

type ChangeSetKind = Awaited<ReturnType<typeof changeSetOf>>;

const untouchedBy = (kind: Exclude<ChangeSetKind, 'full-rebuild' | null>): string =>
  `Every path of the change is ${kind} by the base's change_sets or the server's rebuild.skip_paths: nothing ` +
  'can rebuild, nothing was evaluated.';

const warnings = (about: Notice['about'], messages: readonly string[]): Notice[] =>
  messages.map((message) => ({ level: 'warning', about, message }));

const drvPathsOf = ({ records }: Jobset): DrvPath[] =>
  records.flatMap((record) => (record.kind === 'derivation' ? [record.drvPath] : []));

const unevaluated = (
  { name: job, target }: Job,
  { failure, because }: Extract<CombinedSides, { kind: 'failed' }>,
  notices: readonly Notice[],
): UnjudgedJob => {
  const { position, message, kind } = failure;
  const place = position === null ? '' : ` at ${position.file}:${position.line}:${position.column}`;
  const reason = `${message}${place}`;
  const file = target.kind === 'flake' ? 'flake.nix' : target.file;
  const unjudged = { kind: 'not-judged', job, reason, file, ...(position && { position }), notices } as const;
  switch (because) {
    case 'new':
      return { ...unjudged, conclusion: 'failure' };
    case 'as-on-base':
      return { ...unjudged, conclusion: 'neutral', reason: `as on the base: ${reason}` };
    case 'unknown':
      return { ...unjudged, conclusion: kind === 'timeout' ? 'timed-out' : 'neutral' };
  }
};

interface PlanStage {
  readonly deps: PipelineDeps;
  readonly lease: GraphLease;
  readonly evaluation: EvaluateSidesDeps;
  /** Jobs whose plan was told, by an evaluation that was done again since. */
  readonly told: Set<string>;
  readonly signal: AbortSignal;
}

const planJob = async (stage: PlanStage, pair: JudgedJobPair): Promise<PlannedJob | UnjudgedJob> => {
  const { lease, signal } = stage;
  const sides = await evaluateSides(stage.evaluation, pair, signal);
  const notices = warnings('evaluation', sides.warnings);
  if (sides.kind === 'failed') return unevaluated(pair.judged, sides, notices);
  const { base, judged } = sides;
  const roots = new Set([...drvPathsOf(base), ...drvPathsOf(judged)]);
  await lease.ingest([...roots], signal);
  return {
    kind: 'planned',
    job: pair.judged,
    plan: planRebuilds({ base, judged, graph: lease.graph }),
    notices,
  };
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
    if (stage.told.has(pair.name)) continue;
    stage.told.add(pair.name);
    stage.deps.onEvent({ type: 'planned', job: pair.name, added, removed, changed, unchanged, rebuilds });
  }
  return planned;
};

const plansOf = (jobs: readonly (PlannedJob | UnjudgedJob)[]) =>
  jobs.flatMap((job) => (job.kind === 'planned' ? [job.plan] : []));

/** Nothing of a job that the change takes away was judged, and that must not look like a good end. */
const removed = ({ removedJobs }: JobsToJudge): UnjudgedJob[] =>
  removedJobs.map((job) => {
    const reason = 'the change takes this job out of the configuration: nothing of it was judged';
    return { kind: 'not-judged', job, conclusion: 'neutral', reason, notices: [] };
  });

const untouched = ({ jobs }: JobsToJudge, reason: string): UnjudgedJob[] =>
  jobs.map(({ name }) => ({ kind: 'not-judged', job: name, conclusion: 'success', reason, notices: [] }));

interface ChangeToPlan {
  readonly request: PipelineRequest;
  readonly checkout: CheckedOut;
  readonly jobs: JobsToJudge;
  readonly changeSet: ChangeSetKind;
  readonly lease: GraphLease;
  readonly room: ChangeRoom;
  readonly exportTree: EvaluateSidesDeps['exportTree'];
  readonly prefetch: EvaluateSidesDeps['prefetch'];
}

const planChange = (
  stage: Omit<PlanStage, 'evaluation'>,
  { request, checkout, jobs, room, exportTree, prefetch }: ChangeToPlan,
): Promise<(PlannedJob | UnjudgedJob)[]> => {
  const { deps } = stage;
  const evaluation: EvaluateSidesDeps = {
    evaluator: deps.evaluator,
    limits: request.limits,
    rooms: room.rooms(),
    sandbox: request.sandbox,
    exportTree,
    prefetch,
    allowNetwork: request.allowNetwork ?? false,
    treeShas: { base: baseTreeOf(checkout), judged: checkout.judgedTree },
    rootsDir: join(request.folder, 'roots'),
    kept: deps.kept,
    gate: deps.gate,
    onEvent: deps.onEvent,
  };
  return planJobs({ ...stage, evaluation }, jobs);
};

/** Of all jobs, in its turn. What they said is held on to until the judgement ends. */
const planInTurn = (
  stage: Omit<PlanStage, 'evaluation' | 'told'>,
  change: ChangeToPlan,
): Promise<(PlannedJob | UnjudgedJob)[]> => {
  const { deps, signal } = stage;
  const { room } = change;
  const warn = (message: string): void => deps.onEvent({ type: 'notice', level: 'warning', message });
  const told = new Set<string>();
  const plan = async () => {
    let whole: Side | null = null;
    try {
      const planned = await planChange({ ...stage, told }, change);
      // Not what anybody may propose.
      const side = change.request.everyTree === true ? 'judged' : 'base';
      // Of a job that was not evaluated nobody knows what it says.
      if (planned.every(({ kind }) => kind === 'planned')) whole = side;
      return planned;
    } finally {
      room.settle(whole);
    }
  };
  const inTurn = () => {
    const needs = room.need((reason) => warn(`the evaluation of this change waits: ${reason}`));
    return deps.evaluations.run({ ...deps.builds.purpose, needs }, plan, signal);
  };
  return inTurn().catch((error: unknown) => {
    if (!(error instanceof CrowdedError)) throw error;
    warn(`the evaluation of this change is done again when there is room: ${error.message}`);
    return inTurn();
  });
};

interface PlannedChange {
  readonly planned: readonly (PlannedJob | UnjudgedJob)[];
  readonly plans: readonly RebuildPlan[];
  /** Null where nothing was to be built. */
  readonly built: BuiltChange | null;
}

const planAndBuild = async (
  deps: PipelineDeps,
  change: ChangeToPlan,
  signal: AbortSignal,
): Promise<PlannedChange> => {
  const { request, jobs, changeSet, lease } = change;
  if (changeSet !== null && changeSet !== 'full-rebuild') {
    const planned = untouched(jobs, untouchedBy(changeSet));
    await deps.keepPackages?.(findPackages(planned, lease.graph));
    return { planned, plans: [], built: null };
  }
  const planned = await planInTurn({ deps, lease, signal }, change);
  const plans = plansOf(planned);
  await deps.keepPackages?.(findPackages([...planned, ...removed(jobs)], lease.graph));
  if (!request.build) return { planned, plans, built: null };
  const maxBuilds = request.buildLimit?.builds ?? null;
  const wanted = { graph: lease.graph, plans, maxBuilds, again: request.buildAgain ?? true };
  const built = await buildChange(deps.builds, wanted, signal);
  await refuseLost(plans, built.outcomes);
  return { planned, plans, built };
};

interface ToPublish extends Omit<JudgedRoots, 'place' | 'config'> {
  readonly jobs: JobsToJudge;
}

/** What the change's own configuration names is looked at in every judgement; whom it may reach, where it is known. */
const publish = async (
  { publishing: rules = null, onEvent }: PipelineDeps,
  { place = null }: PipelineRequest,
  { jobs, ...judged }: ToPublish,
): Promise<{ readonly publication: Publication | null; readonly warnings: readonly string[] }> => {
  if (rules === null) return { publication: null, warnings: [] };
  const unknown = unknownNames(jobs.judgedConfig, rules);
  if (place === null) return { publication: null, warnings: unknown };
  // A branch's own commit is on it, so its word holds there; what would join one has only its base's.
  const config = place.isOnBranch ? jobs.judgedConfig : jobs.baseConfig;
  const roots = { ...judged, place, config };
  const refused = refusedNames(roots, rules);
  // Of every pull request this would be said again, and it is as the operator wants it.
  if (!place.isOnBranch) for (const message of refused) onEvent({ type: 'notice', level: 'info', message });
  const warned = place.isOnBranch ? [...unknown, ...refused] : unknown;
  return { publication: await publicationOf(roots, rules), warnings: warned };
};

const judgeOn = async (
  deps: PipelineDeps & { readonly lease: GraphLease; readonly room: ChangeRoom },
  request: PipelineRequest,
  signal: AbortSignal,
): Promise<Judgement> => {
  const checkout = await requireTree(deps, request, signal);
  const jobs = await (request.file === undefined || request.file === null
    ? loadJobs(checkout, request.jobs, { system: deps.system, isBase: request.everyTree === true })
    : loadFile(checkout, request.file));
  const changeSet =
    request.everyTree === true ? null : await changeSetOf(checkout, jobs, request.skipPaths ?? []);
  const exportTree = createTreeExport(checkout, request.folder);
  const { lease, room } = deps;
  const { graph } = lease;
  const { sandbox, folder, inputReader, place, allowNetwork: hasNetwork = false } = request;
  const prefetch = prefetchSides(deps, {
    ...{ checkout, sandbox, folder, hasNetwork, isOnBranch: place?.isOnBranch ?? false },
    ...(inputReader !== undefined && { inputReader }),
  });
  const change = { request, checkout, jobs, changeSet, lease, room, exportTree, prefetch };
  const [{ planned, plans, built }, checked] = await besides(
    signal,
    (both) =>
      onceMoreIfLost(
        {
          kept: changeSet === 'full-rebuild' ? null : deps.kept,
          onLost: (message) => deps.onEvent({ type: 'notice', level: 'warning', message }),
          signal: both,
        },
        (kept) => planAndBuild({ ...deps, kept }, change, both),
      ),
    (both) => judgeChecks(deps, change, both),
  );
  const wide = built?.wide ?? null;
  const { base, head, judgedTree, merged } = checkout;
  const outcomes = built?.outcomes ?? nothingBuilt;
  const published = await publish(deps, request, { jobs, plans, outcomes, graph, commit: head.sha });
  const summary = judgeChange({
    change: {
      repository: request.repository,
      number: request.number ?? null,
      baseSha: base?.sha ?? null,
      headSha: head.sha,
      judgedTree,
      merged,
    },
    jobs: [...planned, ...removed(jobs)],
    checks: checked.checks,
    graph,
    outcomes,
    sizes: built === null || wide !== null ? null : await measureSizes(deps.builds.store, { graph, plans }),
    wide,
    config: jobs.judgedConfig,
    nameRules: deps.nameRules,
    notices: [
      ...warnings('configuration', [...jobs.warnings, ...checked.warnings, ...published.warnings]),
      ...warnings('build', built?.warnings ?? []),
      ...(wide === null ? [] : warnings('build', [`nothing is built: ${request.buildLimit?.howToApprove}`])),
    ],
  });
  const markdown = renderSummary(summary, jobs.judgedConfig);
  const hindrances =
    built === null ? noHindrances : findHindrances({ plans, outcomes: built.outcomes, graph });
  const publication =
    published.publication === null
      ? null
      : await withBuilds(deps.database.builds, published.publication, {
          graph,
          wanted: built?.wanted ?? [],
          sinceMs: deps.builds.purpose.arrivedAtMs,
          nowMs: Date.now(),
        });
  const { subject } = head;
  return { summary, markdown, base: base?.sha ?? null, judgedTree, subject, hindrances, publication };
};

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
  const lease = deps.graph.lease();
  const room = deps.budget.open(request.repository);
  try {
    return await judgeOn({ ...deps, lease, room }, request, signal);
  } finally {
    lease.release();
    room.release();
  }
};
