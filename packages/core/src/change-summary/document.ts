// The change summary's data: plain, immutable, the same as JSON at the API, Markdown on a forge and pages.
import type { BaseOutcome } from '../attr-outcome.ts';
import type { FailureCause, InterruptionCause } from '../build-state.ts';
import type { JudgedCheck } from '../check-outcome.ts';
import type { EvaluationFailure, SourcePosition, UnavailableReason } from '../evaluation.ts';
import type { PackageChange } from '../package-changes.ts';
import type { DrvReference, RebuildImpact } from '../rebuild-impact.ts';
import type { PlanChange } from '../rebuild-plan.ts';
import type { Conclusion, SystemVerdict, VerdictKind } from '../verdict.ts';
import type { WideChange } from '../wide-change.ts';
import type { SizeComparison } from './sizes.ts';

/** Which change was judged. Everything but the shas comes from outside and may hold any text. */
export interface ChangeIdentification {
  /** `owner/name` on a forge, a folder in a local review; null where it has no name. */
  readonly repository: string | null;
  /** Of the pull or merge request. */
  readonly number: number | null;
  /** Null where there was nothing before, as for a first push. */
  readonly baseSha: string | null;
  readonly headSha: string;
  readonly judgedTree: string;
  /** True where the judged tree is the merge of the head into the base; false: the head as it is. */
  readonly merged: boolean;
}

export interface Notice {
  readonly level: 'error' | 'warning' | 'info';
  readonly about: 'configuration' | 'evaluation' | 'build' | 'change';
  readonly message: string;
}

export interface SummarizedPackageChange extends PackageChange {
  /** True where the edit itself is, as opposed to its fallout. */
  readonly edited: boolean;
  /** Names from the package down to the edit, both included; null for what is not rebuilt. */
  readonly why: readonly string[] | null;
}

export interface SummarizedOutcome {
  readonly kind: VerdictKind;
  readonly attr: string;
  readonly aliases: readonly string[];
  readonly system: string | null;
  readonly drvPath: string | null;
  readonly base: BaseOutcome;
  /** What the reader must know to trust the row; else null. */
  readonly note: string | null;
  readonly cause: FailureCause | InterruptionCause | null;
  readonly reason: string | null;
  readonly evaluation: EvaluationFailure | null;
  readonly unavailable: readonly UnavailableReason[];
  /** What failed: a dependency, or the derivation itself; null where nothing did. */
  readonly culprit: DrvReference | null;
  /** The culprit's last lines (at most 20, each at most 1,000 characters), oldest first, as they came. */
  readonly logTail: readonly string[];
  readonly logUrl: string | null;
  readonly durationMs: number | null;
  readonly substituted: boolean;
  /** A command for the reader's shell in a checkout of the judged tree; only for failures. */
  readonly reproduce: string | null;
  /** Of a failure: where it is in the code, or else where the package says that it is; where either is known. */
  readonly position?: SourcePosition;
}

export interface SummarizedSizes {
  /** By attribute, then output. */
  readonly comparisons: readonly SizeComparison[];
  /** Of `size_check`; null where the job asks for none. */
  readonly maxIncreasePercent: number | null;
  /** How many comparisons are beyond it. */
  readonly breaches: number;
}

export interface JobSummary {
  readonly job: string;
  readonly conclusion: Conclusion;
  /** One sentence of our own words and numbers; no name from outside. */
  readonly headline: string;
  /** Why there is nothing below: no plan was made. Null where there was one. */
  readonly notJudged: string | null;
  /** What it evaluates, relative to the repository's root as its configuration has it; where it has one. */
  readonly file?: string;
  /** Where in the code its evaluation failed as a whole; where that is known. */
  readonly position?: SourcePosition;
  /** Attributes by what the plan says of them. */
  readonly attributes: Readonly<Record<PlanChange, number>>;
  /** Rows of the verdict by kind, those that are only counted included. */
  readonly outcomeCounts: Readonly<Record<VerdictKind, number>>;
  readonly systems: readonly SystemVerdict[];
  /** By attribute in code-unit order. */
  readonly packageChanges: readonly SummarizedPackageChange[];
  /** Worst first, then by attribute. */
  readonly outcomes: readonly SummarizedOutcome[];
  readonly rebuildImpact: RebuildImpact | null;
  /** Null where nothing was measured. */
  readonly sizes: SummarizedSizes | null;
  readonly notices: readonly Notice[];
}

/** At most 20 lines of its output, each at most 1,000 characters. */
export type SummarizedCheck = JudgedCheck;

export interface ChangeSummary {
  readonly schemaVersion: 1;
  readonly change: ChangeIdentification;
  /** The worst of the jobs and of the checks. */
  readonly conclusion: Conclusion;
  /** One sentence that answers "should I merge this?"; no name from outside. */
  readonly headline: string;
  /** What keeps its builds waiting for approval; null where nothing does. */
  readonly wide: WideChange | null;
  readonly jobs: readonly JobSummary[];
  /** By name in code-unit order. */
  readonly checks: readonly SummarizedCheck[];
  readonly notices: readonly Notice[];
}
