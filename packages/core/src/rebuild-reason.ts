// Why a derivation is rebuilt: the shortest way down to the edit behind it.
import type { DrvGraph, NodeId } from './drv-graph.ts';
import type { DrvPath } from './ids.ts';
import type { RebuildPlan } from './rebuild-plan.ts';

export interface ReasonStep {
  readonly id: NodeId;
  /** Without hash and `.drv`. */
  readonly name: string;
}

/**
 * From the derivation itself down to a cause, both included; one element for a cause; null for what is not rebuilt.
 * Among equally short ways the one with the least names, then paths: the order of ingestion does not matter.
 */
export type RebuildReason = (drvPath: DrvPath) => readonly ReasonStep[] | null;

/** Edges to the nearest cause, by the place of a node among the rebuilt ones; inputs come before dependents. */
const measureDistances = (plan: RebuildPlan, graph: DrvGraph): Map<NodeId, number> => {
  const { nodes, set, causes } = plan.rebuilt;
  const distances = new Map<NodeId, number>();
  for (const id of nodes) {
    let nearest = causes.has(id) ? 0 : Number.POSITIVE_INFINITY;
    if (nearest !== 0) {
      for (const input of graph.inputsOf(id)) {
        const below = set.has(input) ? distances.get(input) : undefined;
        if (below !== undefined) nearest = Math.min(nearest, below + 1);
      }
    }
    distances.set(id, nearest);
  }
  return distances;
};

/** Names are asked for again and again, and the graph makes them anew each time. */
const rememberNames = (graph: DrvGraph): ((id: NodeId) => string) => {
  const names = new Map<NodeId, string>();
  return (id) => {
    const known = names.get(id);
    if (known !== undefined) return known;
    const name = graph.nameOf(id);
    names.set(id, name);
    return name;
  };
};

/** One pass over the rebuilt edges; each answer then costs its own length. */
export const explainRebuilds = (plan: RebuildPlan, graph: DrvGraph): RebuildReason => {
  const distances = measureDistances(plan, graph);
  const nameOf = rememberNames(graph);
  const isBefore = (a: NodeId, b: NodeId): boolean =>
    nameOf(a) === nameOf(b) ? graph.pathOf(a) < graph.pathOf(b) : nameOf(a) < nameOf(b);
  const stepDown = (id: NodeId, distance: number): NodeId | null => {
    let best: NodeId | null = null;
    for (const input of graph.inputsOf(id)) {
      if (distances.get(input) !== distance - 1) continue;
      if (best === null || isBefore(input, best)) best = input;
    }
    return best;
  };
  return (drvPath) => {
    let id = graph.find(drvPath) ?? null;
    let distance = id === null ? undefined : distances.get(id);
    if (id === null || distance === undefined) return null;
    const steps = [{ id, name: nameOf(id) }];
    for (; distance > 0; distance--) {
      id = stepDown(id, distance);
      if (id === null) return steps;
      steps.push({ id, name: nameOf(id) });
    }
    return steps;
  };
};
