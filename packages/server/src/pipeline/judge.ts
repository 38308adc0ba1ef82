// Stage: plans and build outcomes → the change summary.
import { type AttrOutcome, type OutcomeLookup } from '@eka-ci/core/attr-outcome';
import { buildChangeSummary, type JudgedJob, type UnjudgedJob } from '@eka-ci/core/change-summary/build';
import type { ChangeIdentification, ChangeSummary, Notice } from '@eka-ci/core/change-summary/document';
import { renderMarkdown } from '@eka-ci/core/change-summary/markdown';
import type { JobSource } from '@eka-ci/core/change-summary/reproduce';
import type { SizeLookup } from '@eka-ci/core/change-summary/sizes';
import type { JudgedCheck } from '@eka-ci/core/check-outcome';
import type { DrvGraph } from '@eka-ci/core/drv-graph';
import { classifyPackageChanges, type NameRules } from '@eka-ci/core/package-changes';
import { measureRebuildImpact } from '@eka-ci/core/rebuild-impact';
import type { RebuildPlan } from '@eka-ci/core/rebuild-plan';
import { judgeJobset } from '@eka-ci/core/verdict';
import type { WideChange } from '@eka-ci/core/wide-change';
import type { RepositoryConfig } from '../config/repository-config.ts';
import type { Job } from './jobs.ts';

export interface PlannedJob {
  readonly kind: 'planned';
  readonly job: Job;
  readonly plan: RebuildPlan;
  readonly notices: readonly Notice[];
}

export interface JudgeInput {
  readonly change: ChangeIdentification;
  readonly jobs: readonly (PlannedJob | UnjudgedJob)[];
  readonly checks: readonly JudgedCheck[];
  readonly graph: DrvGraph;
  readonly outcomes: OutcomeLookup;
  /** Null where nothing was built or measured. */
  readonly sizes: SizeLookup | null;
  /** What keeps builds waiting for approval. */
  readonly wide: WideChange | null;
  readonly config: RepositoryConfig;
  readonly nameRules: NameRules;
  readonly notices: readonly Notice[];
}

const sourceOf = (job: Job, config: RepositoryConfig): JobSource =>
  job.target.kind === 'flake'
    ? { kind: 'flake', output: job.target.output }
    : { kind: 'file', file: job.target.file, attrPath: config.jobs[job.name]?.attr_path ?? null };

const judgePlanned = (planned: PlannedJob, input: JudgeInput): JudgedJob => {
  const { plan, job } = planned;
  const { graph, config } = input;
  const sizeCheck = config.jobs[job.name]?.size_check;
  return {
    kind: 'judged',
    plan,
    graph,
    verdict: judgeJobset({ plan, outcomes: input.outcomes, allowEvalFailures: job.allowEvalFailures }),
    packageChanges: config.package_change_summary.enabled
      ? classifyPackageChanges(plan, input.nameRules)
      : [],
    impact: config.rebuild_impact.enabled
      ? measureRebuildImpact(plan, graph, {
          maxTopBlastRadius: config.rebuild_impact.max_top_blast_radius,
          fullBlastRadius: config.rebuild_impact.compute_full_blast_radius,
        })
      : null,
    source: sourceOf(job, config),
    sizes: input.sizes,
    sizeCheck: sizeCheck === undefined ? null : { maxIncreasePercent: sizeCheck.max_increase_percent },
    notices: planned.notices,
  };
};

/** The verdict as far as it is known now. Pure. */
export const judgeChange = (input: JudgeInput): ChangeSummary =>
  buildChangeSummary({
    change: input.change,
    jobs: input.jobs.map((job) => (job.kind === 'planned' ? judgePlanned(job, input) : job)),
    checks: input.checks,
    wide: input.wide,
    notices: input.notices,
  });

/** The summary as a forge shows it. */
export const renderSummary = (summary: ChangeSummary, config: RepositoryConfig): string =>
  renderMarkdown(summary, {
    pageUrl: null,
    maxPackagesListed: config.package_change_summary.max_packages_listed,
    includeRebuildOnly: config.package_change_summary.include_rebuild_only,
    maxTopBlastRadius: config.rebuild_impact.max_top_blast_radius,
  });

const notBuilt: AttrOutcome = { state: 'not-built', reason: 'builds were not asked for' };

/** Outcomes of a review that only evaluates. */
export const nothingBuilt: OutcomeLookup = { judged: () => notBuilt, base: () => notBuilt };
