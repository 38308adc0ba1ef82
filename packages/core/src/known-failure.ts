// When a failure on record stands for another try of the same derivation: an answer of its own that is not too old, and
// that nobody cleared.
import type { BuildCause, BuildState, FailureCause } from './build-state.ts';
import { type BuildAnswer, failuresBefore } from './flaky.ts';

/** The newest attempt of a derivation, as it is on record. */
export interface RecordedEnding {
  readonly state: BuildState;
  readonly cause: BuildCause | null;
  /** Milliseconds since 1970; null where it is not at rest. */
  readonly finishedAtMs: number | null;
  /** Somebody said that it is to be tried again, and it was not since. */
  readonly cleared: boolean;
}

export interface FailureAge {
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** 0: no failure is known. */
  readonly maxAgeMs: number;
}

/**
 * What the derivation's own builder came to, and would come to again. Not a hash that does not match: a download may be
 * another one tomorrow.
 */
const lasting: ReadonlySet<BuildCause> = new Set<FailureCause>([
  'builder-exit',
  'missing-output',
  'output-rejected',
  'not-deterministic',
]);

const isLasting = (cause: BuildCause | null): cause is FailureCause => cause !== null && lasting.has(cause);

/** Ended not too long ago; nor so long ahead that the clock must have been wrong then. */
export const isRecent = (
  { finishedAtMs }: Pick<RecordedEnding, 'finishedAtMs'>,
  { nowMs, maxAgeMs }: FailureAge,
): boolean => finishedAtMs !== null && Math.abs(nowMs - finishedAtMs) < maxAgeMs;

/** Its cause where it stands, else null. @param ending of no fixed-output derivation: those are always tried again */
export const knownFailureCause = (ending: RecordedEnding, age: FailureAge): FailureCause | null => {
  const { state, cause, cleared } = ending;
  return state === 'failed' && isLasting(cause) && !cleared && isRecent(ending, age) ? cause : null;
};

/** Whether a failure was doubted already, and came again. @param answers since it was last cleared, oldest first */
export const wasBuiltAgain = (answers: readonly BuildAnswer[]): boolean => failuresBefore(answers).length > 0;

/** `2026-11-20 14:03 UTC` */
const dateText = (atMs: number): string =>
  `${new Date(atMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/** One sentence for people, without a full stop. @param message what was said then; null for nothing */
export const describeKnownFailure = (endedAtMs: number, message: string | null): string => {
  const when = `failed before, on ${dateText(endedAtMs)}`;
  return message === null || message === '' ? when : `${when}: ${message}`;
};
