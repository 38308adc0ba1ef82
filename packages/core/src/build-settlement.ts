// What the end of one attempt means for its derivation and for all that wait for it. No clock, no storage: the run's
// frontier is moved on, and what must be recorded is returned.
import type { BuildFrontier } from './build-frontier.ts';
import { type BuildCause, type BuildResult, type BuildStep, isTransient } from './build-state.ts';
import type { DrvGraph, NodeId } from './drv-graph.ts';

/** A derivation gets this many attempts where the surroundings are to blame for the failures. */
const maxAttemptsOfTransient = 2;

export interface FinishedAttempt {
  readonly node: NodeId;
  /** Counted from 1, within this run. */
  readonly attemptOfRun: number;
  readonly result: BuildResult;
}

/** One step of one node, to be recorded. */
export interface SettledStep {
  readonly node: NodeId;
  readonly step: BuildStep;
  readonly cause: BuildCause | null;
  /** The node whose failure this one shares; null where it is its own. */
  readonly culprit: NodeId | null;
  readonly message: string | null;
}

export interface Settlement {
  /** The node's own step first, then one for each that waited for it, directly or over others. */
  readonly steps: readonly SettledStep[];
  /** Nodes that wait for nothing any more. */
  readonly nowReady: readonly NodeId[];
  /** True: the node is to be tried again; its steps leave it buildable. */
  readonly retry: boolean;
}

interface Run {
  readonly graph: DrvGraph;
  readonly frontier: BuildFrontier;
}

interface Ending {
  readonly step: BuildStep;
  readonly cause: BuildCause | null;
  readonly culprit: NodeId | null;
  readonly message: string | null;
}

/** How the ending of something that is needed, and was not built, ends what needs it. */
const stepOfDependents = (ending: Pick<Ending, 'step' | 'cause'>): BuildStep => {
  if (ending.step === 'find-unsatisfiable') return 'find-unsatisfiable';
  return ending.cause === 'cancelled' || ending.cause === 'scheduler-death' ? 'interrupt' : 'fail-dependency';
};

/** The step of a node that needs, directly or over others, one that ended so. */
export const settleDependent = (graph: DrvGraph, node: NodeId, ending: SettledStep): SettledStep => {
  const culprit = ending.culprit ?? ending.node;
  const message = `needs ${graph.pathOf(culprit)}${ending.message === null ? '' : `: ${ending.message}`}`;
  return { node, step: stepOfDependents(ending), cause: ending.cause, culprit, message };
};

/** Ends a node that did not succeed, and everything that waits for it. */
const endUnsuccessfully = ({ graph, frontier }: Run, node: NodeId, ending: Ending): SettledStep[] => {
  const own: SettledStep = { node, ...ending };
  const dependents = frontier.settleFailed(node);
  if (dependents.length === 0) return [own];
  // Made once: nearly everything may depend on one.
  const theirs = settleDependent(graph, node, own);
  return [own, ...dependents.map((dependent) => ({ ...theirs, node: dependent }))];
};

/** Marks a node, and everything that waits for it, as something that no builder can build. */
export const settleUnsatisfiable = (run: Run, node: NodeId, message: string): SettledStep[] =>
  endUnsuccessfully(run, node, { step: 'find-unsatisfiable', cause: null, culprit: null, message });

/** Ends a node that will not be started, and everything that waits for it. */
export const settleCancelled = (run: Run, node: NodeId, message: string): SettledStep[] =>
  endUnsuccessfully(run, node, { step: 'interrupt', cause: 'cancelled', culprit: null, message });

/** Ends a node whose last attempt is believed, and everything that waits for it. */
export const settleFailedBefore = (
  run: Run,
  node: NodeId,
  { cause, message }: Pick<Ending, 'cause' | 'message'>,
): SettledStep[] => endUnsuccessfully(run, node, { step: 'fail', cause, culprit: null, message });

const endingOf = (graph: DrvGraph, node: NodeId, result: BuildResult): Ending => {
  switch (result.kind) {
    case 'built':
    case 'substituted':
    case 'already-valid':
      return { step: 'succeed', cause: result.kind, culprit: null, message: null };
    case 'unsatisfiable':
      return { step: 'find-unsatisfiable', cause: null, culprit: null, message: result.message };
    case 'interrupted': {
      // Tried often enough: from here on it counts as a failure, with its cause.
      const step = isTransient(result.cause) ? 'fail' : 'interrupt';
      return { step, cause: result.cause, culprit: null, message: result.message };
    }
    case 'failed': {
      const { cause, message } = result;
      if (result.failedDrv === graph.pathOf(node)) return { step: 'fail', cause, culprit: null, message };
      // A derivation that the graph does not know cannot be named as culprit; the message still names it.
      const culprit = graph.find(result.failedDrv) ?? null;
      return { step: 'fail-dependency', cause, culprit, message };
    }
  }
};

const shouldRetry = ({ attemptOfRun, result }: FinishedAttempt): boolean =>
  (result.kind === 'failed' || result.kind === 'interrupted') &&
  isTransient(result.cause) &&
  attemptOfRun < maxAttemptsOfTransient;

/**
 * @throws DrvGraphError DRV_GRAPH_NOT_UNSETTLED for a node that was settled before
 */
export const settleAttempt = (run: Run, finished: FinishedAttempt): Settlement => {
  const { node, result } = finished;
  const ending = endingOf(run.graph, node, result);
  if (shouldRetry(finished)) {
    const { cause, culprit, message } = ending;
    const steps: SettledStep[] = [
      { node, step: 'interrupt', cause, culprit, message },
      { node, step: 'retry', cause: null, culprit: null, message: null },
    ];
    return { steps, nowReady: [], retry: true };
  }
  if (ending.step === 'succeed') {
    const nowReady = run.frontier.settleSucceeded(node);
    return { steps: [{ node, ...ending }], nowReady, retry: false };
  }
  return { steps: endUnsuccessfully(run, node, ending), nowReady: [], retry: false };
};
