// Puts what was planned, judged and measured into one document.
import { conclusionOfCheck, type JudgedCheck } from '../check-outcome.ts';
import type { DrvGraph } from '../drv-graph.ts';
import type { EvaluationRecord, SourcePosition } from '../evaluation.ts';
import type { DrvPath } from '../ids.ts';
import type { PackageChange } from '../package-changes.ts';
import type { DrvReference, RebuildImpact } from '../rebuild-impact.ts';
import type { PlanChange, PlanRow, RebuildPlan } from '../rebuild-plan.ts';
import { explainRebuilds, type RebuildReason } from '../rebuild-reason.ts';
import { type Conclusion, emptyVerdictCounts, type Verdict, type VerdictRow } from '../verdict.ts';
import { describeWide, type WideChange } from '../wide-change.ts';
import type {
  ChangeIdentification,
  ChangeSummary,
  JobSummary,
  Notice,
  SummarizedCheck,
  SummarizedOutcome,
  SummarizedPackageChange,
  SummarizedSizes,
} from './document.ts';
import { describeChange, describeJob, worstOf } from './headline.ts';
import { fileOf, formatReproduction, type JobSource } from './reproduce.ts';
import { compareSizes, type SizeCheck, type SizeLookup } from './sizes.ts';

/** A job of which a plan was made. */
export interface JudgedJob {
  readonly kind: 'judged';
  readonly plan: RebuildPlan;
  /** Holds the closures of both sides. */
  readonly graph: DrvGraph;
  readonly verdict: Verdict;
  /** Empty where the repository asks for no summary of them. */
  readonly packageChanges: readonly PackageChange[];
  /** Null where the repository asks for none. */
  readonly impact: RebuildImpact | null;
  /** Null: no command to reproduce a failure is shown. */
  readonly source: JobSource | null;
  readonly sizes: SizeLookup | null;
  readonly sizeCheck: SizeCheck | null;
  readonly notices: readonly Notice[];
}

/** A job without a plan: still being evaluated, failed before one could be made, or proven to be untouched. */
export interface UnjudgedJob {
  readonly kind: 'not-judged';
  readonly job: string;
  readonly conclusion: Conclusion;
  /** For people; may quote messages from outside. */
  readonly reason: string;
  /** As of `JobSummary`. */
  readonly file?: string;
  readonly position?: SourcePosition;
  readonly notices: readonly Notice[];
}

export interface ChangeSummaryInput {
  readonly change: ChangeIdentification;
  readonly jobs: readonly (JudgedJob | UnjudgedJob)[];
  /** @default none */
  readonly checks?: readonly JudgedCheck[];
  /** Its outcomes are held then. @default null */
  readonly wide?: WideChange | null;
  readonly notices: readonly Notice[];
}

const MAX_LOG_LINES = 20;
const MAX_LINE_CHARACTERS = 1_000;

const isFailure = ({ kind }: VerdictRow): boolean =>
  kind === 'newly-failing' ||
  kind === 'still-failing' ||
  kind === 'failing-base-unknown' ||
  kind === 'timed-out' ||
  kind === 'newly-unevaluable' ||
  kind === 'still-unevaluable';

const cutLine = (line: string): string =>
  line.length <= MAX_LINE_CHARACTERS ? line : `${line.slice(0, MAX_LINE_CHARACTERS).toWellFormed()}…`;

const nameOf = (graph: DrvGraph, drvPath: DrvPath): string => {
  const id = graph.find(drvPath);
  return id === undefined ? drvPath : graph.nameOf(id);
};

const findCulprit = (row: VerdictRow, graph: DrvGraph): DrvReference | null => {
  if (!isFailure(row) || row.drvPath === null) return null;
  const culprit = row.outcome?.culprit;
  if (culprit === undefined || culprit.drvPath === row.drvPath) {
    return { drvPath: row.drvPath, name: nameOf(graph, row.drvPath), attr: row.attr };
  }
  return { drvPath: culprit.drvPath, name: culprit.name, attr: culprit.attr ?? null };
};

/** `file:line`, as packages state it. */
const readPosition = (text: string | null | undefined): SourcePosition | null => {
  const [, file, line] = /^(.+):(\d{1,15})$/s.exec(text ?? '') ?? [];
  return file === undefined || line === undefined ? null : { file, line: Number(line), column: 1 };
};

const statedPosition = (record: EvaluationRecord | null): SourcePosition | null =>
  record === null || record.kind === 'failed' ? null : readPosition(record.meta?.position);

const positionOf = (row: VerdictRow, planned: PlanRow | undefined): SourcePosition | null => {
  if (row.evaluation !== null && row.evaluation.position !== null) return row.evaluation.position;
  if (planned === undefined) return null;
  return statedPosition(planned.judged) ?? statedPosition(planned.base);
};

const summarizeOutcome = (
  row: VerdictRow,
  { graph, source }: JudgedJob,
  planned: ReadonlyMap<string, PlanRow>,
): SummarizedOutcome => {
  const { outcome } = row;
  const failed = isFailure(row);
  const position = failed ? positionOf(row, planned.get(row.attr)) : null;
  return {
    kind: row.kind,
    attr: row.attr,
    aliases: row.aliases,
    system: row.system,
    drvPath: row.drvPath,
    base: row.base,
    note: row.note,
    cause: outcome?.cause ?? null,
    reason: outcome?.reason ?? null,
    evaluation: row.evaluation,
    unavailable: row.unavailable,
    culprit: findCulprit(row, graph),
    logTail: failed ? (outcome?.logTail ?? []).slice(-MAX_LOG_LINES).map(cutLine) : [],
    logUrl: outcome?.logUrl ?? null,
    durationMs: outcome?.durationMs ?? null,
    substituted: outcome?.substituted ?? false,
    reproduce:
      failed && source !== null ? formatReproduction(source, row.attr, row.evaluation !== null) : null,
    ...(position !== null && { position }),
  };
};

const explainChanges = (
  job: JudgedJob,
  reasonOf: RebuildReason,
  edited: ReadonlySet<string>,
): SummarizedPackageChange[] => {
  // What is asked of the graph by path is asked by path here: the changes carry plain strings.
  const paths = new Map<string, DrvPath>(job.plan.rootsToBuild.map((path) => [path, path]));
  return job.packageChanges.map((change) => {
    const root = change.drvPath === null ? undefined : paths.get(change.drvPath);
    const why = root === undefined || change.primary === null ? null : reasonOf(root);
    return {
      ...change,
      edited: edited.has(change.attr) || change.aliases.some((alias) => edited.has(alias)),
      why: why === null ? null : why.map(({ name }) => name),
    };
  });
};

const summarizeSizes = ({ verdict, sizes, sizeCheck }: JudgedJob): SummarizedSizes | null => {
  if (sizes === null) return null;
  const comparisons = compareSizes(verdict.rows, sizes, sizeCheck);
  if (comparisons.length === 0 && sizeCheck === null) return null;
  return {
    comparisons,
    maxIncreasePercent: sizeCheck?.maxIncreasePercent ?? null,
    breaches: comparisons.filter(({ breached }) => breached).length,
  };
};

const rowsOfFailures = ({ plan, verdict }: JudgedJob): ReadonlyMap<string, PlanRow> => {
  const failed = new Set(verdict.rows.filter(isFailure).map(({ attr }) => attr));
  return new Map(plan.rows.flatMap((row) => (failed.has(row.attr) ? [[row.attr, row] as const] : [])));
};

const summarizeJudged = (job: JudgedJob): JobSummary => {
  const { plan, graph, verdict, impact, source } = job;
  const planned = rowsOfFailures(job);
  return {
    job: plan.job,
    conclusion: verdict.conclusion,
    headline: describeJob(verdict),
    notJudged: null,
    ...(source !== null && { file: fileOf(source) }),
    attributes: plan.counts,
    outcomeCounts: verdict.counts,
    systems: verdict.systems,
    packageChanges: explainChanges(job, explainRebuilds(plan, graph), new Set(impact?.editedAttrs)),
    outcomes: verdict.rows.map((row) => summarizeOutcome(row, job, planned)),
    rebuildImpact: impact,
    sizes: summarizeSizes(job),
    notices: job.notices,
  };
};

const unjudgedHeadlines: Readonly<Record<Conclusion, string>> = {
  success: 'Nothing to judge.',
  failure: 'It could not be evaluated.',
  pending: 'It is being evaluated.',
  'action-required': 'It is not evaluated before the change is approved.',
  'timed-out': 'Its evaluation timed out.',
  cancelled: 'Cancelled before there was a plan.',
  neutral: 'It was not judged.',
};

const noAttributes: Readonly<Record<PlanChange, number>> = {
  added: 0,
  removed: 0,
  changed: 0,
  unchanged: 0,
  unavailable: 0,
  unevaluable: 0,
};

const summarizeUnjudged = ({
  job,
  conclusion,
  reason,
  file,
  position,
  notices,
}: UnjudgedJob): JobSummary => ({
  job,
  conclusion,
  headline: unjudgedHeadlines[conclusion],
  notJudged: reason,
  ...(file !== undefined && { file }),
  ...(position !== undefined && { position }),
  attributes: noAttributes,
  outcomeCounts: emptyVerdictCounts(),
  systems: [],
  packageChanges: [],
  outcomes: [],
  rebuildImpact: null,
  sizes: null,
  notices,
});

const summarizeCheck = (check: JudgedCheck): SummarizedCheck => ({
  ...check,
  reason: check.reason === null ? null : cutLine(check.reason),
  outputTail: check.outputTail.slice(-MAX_LOG_LINES).map(cutLine),
});

/** The whole document; listing limits are the renderer's, so that pages can show everything. */
export const buildChangeSummary = ({
  change,
  jobs,
  checks = [],
  wide = null,
  notices,
}: ChangeSummaryInput): ChangeSummary => {
  const summaries = jobs.map((job) =>
    job.kind === 'judged' ? summarizeJudged(job) : summarizeUnjudged(job),
  );
  const sorted = checks.toSorted((one, other) => (one.name < other.name ? -1 : 1)).map(summarizeCheck);
  const conclusion = worstOf([
    ...summaries.map((job) => job.conclusion),
    ...sorted.map(({ outcome }) => conclusionOfCheck(outcome)),
  ]);
  return {
    schemaVersion: 1,
    change,
    conclusion,
    headline:
      conclusion === 'action-required' && wide !== null
        ? `Waits for approval: ${describeWide(wide)}.`
        : describeChange(conclusion, summaries, sorted),
    wide,
    jobs: summaries,
    checks: sorted,
    notices,
  };
};
