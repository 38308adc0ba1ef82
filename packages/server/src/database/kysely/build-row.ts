// What a transition makes of the row that holds a build's current state, and of the summary of an attempt.
import type { BuildState } from '@eka-ci/core/build-state';
import type { BuildAttempt, BuildTransition } from '../database.ts';

const atRest: ReadonlySet<BuildState> = new Set(['succeeded', 'failed', 'dependency-failed', 'interrupted']);

/** The attempt after one more transition; `before` is null, or an older attempt's, when this one begins. */
export const applyTransition = (before: BuildAttempt | null, step: BuildTransition): BuildAttempt => {
  const same = before !== null && before.attempt === step.attempt ? before : null;
  const resting = atRest.has(step.to);
  const startedAtMs = step.to === 'building' ? step.atMs : resting ? (same?.startedAtMs ?? null) : null;
  const keepsLog = resting || step.to === 'building';
  return {
    attempt: step.attempt,
    state: step.to,
    cause: step.cause,
    startedAtMs,
    finishedAtMs: resting ? step.atMs : null,
    culprit: step.culprit,
    message: step.message,
    logFile: step.logFile ?? (keepsLog ? (same?.logFile ?? null) : null),
  };
};

/** The attempts of one derivation from its whole history, oldest first. */
export const attemptsFrom = (history: readonly BuildTransition[]): BuildAttempt[] => {
  const attempts: BuildAttempt[] = [];
  for (const step of history) {
    const last = attempts.at(-1) ?? null;
    const next = applyTransition(last, step);
    if (last !== null && last.attempt === step.attempt) attempts[attempts.length - 1] = next;
    else attempts.push(next);
  }
  return attempts;
};
