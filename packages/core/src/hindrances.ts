// What keeps a judged change from a better end, and may go away without a new head: then it is judged again.
import { endingOf, type OutcomeLookup } from './attr-outcome.ts';
import type { DrvGraph } from './drv-graph.ts';
import type { DrvPath } from './ids.ts';
import type { RebuildPlan } from './rebuild-plan.ts';

/** What a derivation asks of a builder. */
export interface AskedOfBuilder {
  readonly system: string;
  /** In code-unit order, each once. */
  readonly requiredFeatures: readonly string[];
  readonly fixedOutput: boolean;
}

export interface Hindrances {
  /** Derivations whose own failure, or time, is behind what failed; each once. */
  readonly failures: readonly DrvPath[];
  /** What no builder offers, each once. */
  readonly unsatisfiable: readonly AskedOfBuilder[];
  /** Nothing is built before somebody approves it. */
  readonly awaitsApproval: boolean;
}

export const noHindrances: Hindrances = { failures: [], unsatisfiable: [], awaitsApproval: false };

interface JudgedBuilds {
  readonly plans: readonly RebuildPlan[];
  readonly outcomes: Pick<OutcomeLookup, 'judged'>;
  readonly graph: DrvGraph;
}

const needsOf = (graph: DrvGraph, drv: DrvPath): AskedOfBuilder | null => {
  const node = graph.find(drv);
  if (node === undefined) return null;
  const requiredFeatures = [...new Set(graph.requiredFeaturesOf(node))].sort();
  return { system: graph.systemOf(node), requiredFeatures, fixedOutput: graph.isFixedOutput(node) };
};

/** In time proportional to what the plans build. */
export const findHindrances = ({ plans, outcomes, graph }: JudgedBuilds): Hindrances => {
  const failures = new Set<DrvPath>();
  const unsatisfiable = new Map<string, AskedOfBuilder>();
  let awaitsApproval = false;
  for (const root of new Set(plans.flatMap(({ rootsToBuild }) => rootsToBuild))) {
    const outcome = outcomes.judged(root);
    const behind = outcome.culprit?.drvPath ?? root;
    const ending = endingOf(outcome);
    if (ending === 'failed' || ending === 'timed-out') failures.add(behind);
    if (outcome.awaitsApproval === true) awaitsApproval = true;
    if (outcome.state !== 'unsatisfiable') continue;
    const needs = needsOf(graph, behind);
    if (needs !== null) unsatisfiable.set(JSON.stringify(needs), needs);
  }
  return { failures: [...failures], unsatisfiable: [...unsatisfiable.values()], awaitsApproval };
};
