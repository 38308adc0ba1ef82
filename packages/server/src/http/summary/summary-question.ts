// What can be asked of a stored change summary, and the answers: small data, or a whole document as it is sent.
import type { ChangeSummary, JobSummary } from '@eka-ci/protocol/change-summary';
import type { Difference, JobDrv } from '@eka-ci/protocol/job';

/** Parts of a summary that are answered as they are, for all jobs or for one. */
export type SummaryPart = 'summary' | 'package-changes' | 'rebuild-impact' | 'markdown';

export interface DrvFilter {
  readonly state?: JobDrv['state'] | undefined;
  readonly difference?: Difference | undefined;
  /** In an attribute or a derivation's name; capital letters do not matter. */
  readonly q?: string | undefined;
  /** Exactly one of these, under any of its names. */
  readonly attrs?: readonly string[] | undefined;
  /** What did not succeed for a reason that may pass. */
  readonly failed?: true | undefined;
}

export type SummaryQuestion =
  | { readonly kind: 'document'; readonly part: SummaryPart; readonly job: string | null }
  | { readonly kind: 'jobs' }
  | { readonly kind: 'job'; readonly index: number }
  | {
      readonly kind: 'drvs';
      readonly index: number;
      readonly filter: DrvFilter;
      readonly start: number;
      readonly limit: number;
    };

/** A job without its lists. */
export type JobHead = Omit<JobSummary, 'packageChanges' | 'outcomes' | 'rebuildImpact' | 'sizes'> & {
  readonly totalRebuilds: number | null;
};

export type SummaryAnswer =
  /** UTF-8 text. */
  | { readonly kind: 'document'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'jobs'; readonly summary: SummaryHead; readonly jobs: readonly JobHead[] }
  | { readonly kind: 'job'; readonly job: JobHead; readonly drvs: number }
  | { readonly kind: 'drvs'; readonly total: number; readonly rows: readonly JobDrv[] }
  /** The summary has no such job; it has these. */
  | { readonly kind: 'no-job'; readonly names: readonly string[] }
  /** There is none, or one of a version that is no longer known. */
  | { readonly kind: 'no-summary' };

export type SummaryHead = Pick<ChangeSummary, 'change' | 'conclusion' | 'headline'>;
