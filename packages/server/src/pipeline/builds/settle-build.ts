// An attempt has ended: what that means for its derivation, for all that wait for it, and for its builder.

import { type SettledStep, settleAttempt } from '@eka-ci/core/build-settlement';
import { type BuildResult, isTransient } from '@eka-ci/core/build-state';
import { type BuildOutcome, outcomeOfStep } from './build-outcome.ts';
import { type EndedAttempt, logFileOf } from './run-attempt.ts';
import type { StartedBuild } from './running-builds.ts';
import { type SchedulerState, stepOf, type Turn, tellAll } from './scheduler-state.ts';

export interface EndedBuild {
  readonly build: StartedBuild;
  /** `spoke`: its builder program was known to run. */
  readonly attempt: EndedAttempt & { readonly spoke: boolean };
}

/** A build that its builder dies of each time must not go round for ever. */
const mostLosses = 5;

const isBuildersFault = (result: BuildResult): boolean =>
  result.kind === 'failed' && (result.cause === 'lost-builder' || result.cause === 'disk-full');

/** What would be tried again were it wanted still. */
const notTriedAgain = (result: BuildResult): BuildResult =>
  (result.kind === 'failed' || result.kind === 'interrupted') && isTransient(result.cause)
    ? { kind: 'interrupted', cause: 'cancelled', message: result.message, durationMs: result.durationMs }
    : result;

/** A machine that went away says nothing of the build: it is tried elsewhere, or when it is back, and not counted. */
const isNoAnswer = (state: SchedulerState, { build: { node, builder }, attempt }: EndedBuild): boolean => {
  if (builder.isLocal) return false;
  const { pool } = state.deps;
  const { result, spoke } = attempt;
  if (!isBuildersFault(result)) {
    pool.answered(builder.name);
    return false;
  }
  pool.lost(builder.name, 'message' in result ? result.message : 'it was lost');
  const tries = state.triesOf(node);
  tries.lostOn.add(builder.name);
  if (spoke) tries.losses += 1;
  return tries.losses < mostLosses;
};

const tryAgain = (
  state: SchedulerState,
  { build: { node, drv, attempt }, attempt: { result } }: EndedBuild,
  turn: Turn,
): void => {
  const cause = 'cause' in result ? result.cause : 'process-death';
  const message = 'message' in result ? result.message : null;
  const logFile = logFileOf(drv, attempt);
  turn.steps.push({ ...stepOf(drv, 'interrupt'), cause, message, logFile }, stepOf(drv, 'retry'));
  const waiting = state.wanted.waitingFor(node);
  turn.acts.push(() => tellAll(waiting, { kind: 'retried', drv, attempt, cause, message }));
  state.wanted.markBuildable(node);
};

const endTried = (
  state: SchedulerState,
  { step, ended }: { readonly step: SettledStep; readonly ended: EndedBuild },
  turn: Turn,
): void => {
  const { drv, attempt } = ended.build;
  const { lastLines, logFault, result } = ended.attempt;
  const logFile = logFileOf(drv, attempt);
  turn.steps.push({ ...state.toRecord(step), logFile });
  const outcome: BuildOutcome = {
    ...outcomeOfStep(state.wanted.graph, step, attempt),
    ...{ logFile, logFault, durationMs: result.durationMs },
    lastLines: step.step === 'succeed' ? [] : lastLines,
  };
  if (outcome.state === 'succeeded') turn.acts.push(() => state.successes.keep(outcome));
  state.settle({ node: step.node, drv }, () => ({ kind: 'build-finished', outcome }), turn);
};

export const settleBuild = async (state: SchedulerState, ended: EndedBuild, turn: Turn): Promise<void> => {
  const { build, attempt } = ended;
  const { node } = build;
  const { wanted, running } = state;
  const { graph, frontier, order } = wanted;
  running.remove(build);
  // It may have been cancelled, and be wanted anew and wait for something else by now.
  for (const twin of state.takeTwins(node)) {
    if (frontier.stateOf(twin) === 'ready') wanted.markBuildable(twin);
  }
  const isWanted = order.demandsOf(node).length > 0;
  const isCancelled = attempt.result.kind === 'interrupted' && attempt.result.cause === 'cancelled';
  // Somebody wanted it again while it was being ended.
  if (isCancelled && isWanted) wanted.keepForOthers(node);
  const mayTryAgain = isCancelled || isNoAnswer(state, ended);
  if (mayTryAgain && isWanted) return tryAgain(state, ended, turn);
  const tries = state.triesOf(node);
  tries.count += 1;
  const attemptOfRun = tries.losses >= mostLosses ? Number.POSITIVE_INFINITY : tries.count;
  const result = isWanted ? attempt.result : notTriedAgain(attempt.result);
  const settlement = settleAttempt({ graph, frontier }, { node, attemptOfRun, result });
  if (settlement.retry) {
    tries.lostOn.add(build.builder.name);
    return tryAgain(state, ended, turn);
  }
  const [own, ...dependents] = settlement.steps;
  if (own !== undefined) endTried(state, { step: own, ended }, turn);
  await state.endUntried(dependents, turn);
  await state.makeReady(settlement.nowReady, turn);
};
