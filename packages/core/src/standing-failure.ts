// Which of the failures on record speaks against building a derivation once more.
import { type BuildCause, isTransient } from './build-state.ts';
import type { DrvPath } from './ids.ts';
import { type FailureAge, isRecent, type RecordedEnding } from './known-failure.ts';

/** The newest attempt of a derivation. */
export interface PastBuild extends RecordedEnding {
  readonly drv: DrvPath;
}

export interface TryAgain {
  /** Although the derivation itself failed before. */
  readonly force: boolean;
  /** Also what it needs, whatever failed of it. */
  readonly rebuildAll: boolean;
}

const answers: ReadonlySet<BuildCause> = new Set<BuildCause>(['timeout', 'max-duration', 'log-limit']);

export interface StandingRule extends TryAgain {
  /** What is older, or was cleared, does not speak against another try. */
  readonly age: FailureAge;
}

/** True where another try in the same surroundings would end the same way. */
const isAnswer = ({ state, cause }: PastBuild): boolean => {
  if (state === 'failed') return cause === null || !isTransient(cause);
  return state === 'interrupted' && cause !== null && answers.has(cause);
};

/**
 * The first failure of `past` that is not to be tried again, the derivation's own before those of what it needs; null
 * where it may be built.
 * @param past of what is left to build: what is valid or can be fetched needs no build
 */
export const findStandingFailure = (
  drv: DrvPath,
  past: Iterable<PastBuild>,
  { force, rebuildAll, age }: StandingRule,
): PastBuild | null => {
  if (rebuildAll) return null;
  let first: PastBuild | null = null;
  for (const build of past) {
    if (!isAnswer(build) || build.cleared || !isRecent(build, age)) continue;
    if (force && build.drv === drv) continue;
    if (build.drv === drv) return build;
    first ??= build;
  }
  return first;
};
