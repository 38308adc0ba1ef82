// What a run of builds tells: while it goes on, and of each derivation at its end.
import type { SettledStep } from '@eka-ci/core/build-settlement';
import type { BuildCause, BuildStep } from '@eka-ci/core/build-state';
import type { DrvGraph } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';

/** What one run came to for one derivation it wanted. */
export interface BuildOutcome {
  readonly drv: DrvPath;
  readonly state: 'succeeded' | 'failed' | 'dependency-failed' | 'interrupted' | 'unsatisfiable';
  /** A dependency-failed one has its culprit's; null for an unsatisfiable one. */
  readonly cause: BuildCause | null;
  /** What failed, was interrupted or could not be built, where that is another derivation. */
  readonly culprit: DrvPath | null;
  /** For people; null for one that succeeded. */
  readonly message: string | null;
  /** Counted from 1 over all runs. */
  readonly attempt: number;
  /** Relative to the log directory; null where nothing was tried. */
  readonly logFile: string | null;
  /** Why the log is not complete; null where it is. */
  readonly logFault: string | null;
  /** The last lines of the log, at most 20; empty for one that succeeded or was not tried. */
  readonly lastLines: readonly string[];
  /** Of the last attempt; null where nothing was tried. */
  readonly durationMs: number | null;
}

interface OfAttempt {
  readonly drv: DrvPath;
  readonly attempt: number;
}

export type BuildEvent =
  | (OfAttempt & { readonly kind: 'build-started'; readonly builder: string; readonly logFile: string })
  /** `phase` is what the builder printed: any text. */
  | (OfAttempt & { readonly kind: 'phase'; readonly phase: string })
  /** The attempt is over and counts for nothing: it is tried once more. */
  | (OfAttempt & { readonly kind: 'retried'; readonly cause: BuildCause; readonly message: string | null })
  /** It was tried, and this is the answer. */
  | { readonly kind: 'build-finished'; readonly outcome: BuildOutcome }
  /** It was not tried, since something it needs was not built. */
  | { readonly kind: 'dependency-failed'; readonly outcome: BuildOutcome }
  /** It was not tried: no builder for it or for something it needs, or the run was cancelled. */
  | { readonly kind: 'not-built'; readonly outcome: BuildOutcome };

const stateOf: Readonly<Partial<Record<BuildStep, BuildOutcome['state']>>> = {
  succeed: 'succeeded',
  fail: 'failed',
  'fail-dependency': 'dependency-failed',
  interrupt: 'interrupted',
  'find-unsatisfiable': 'unsatisfiable',
};

/** The outcome of a step that ends a derivation, as of one that was not tried. */
export const outcomeOfStep = (graph: DrvGraph, step: SettledStep, attempt: number): BuildOutcome => ({
  drv: graph.pathOf(step.node),
  state: stateOf[step.step] ?? 'failed',
  cause: step.cause,
  culprit: step.culprit === null ? null : graph.pathOf(step.culprit),
  message: step.message,
  attempt,
  logFile: null,
  logFault: null,
  lastLines: [],
  durationMs: null,
});
