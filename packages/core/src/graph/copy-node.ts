// A node of one graph as another is given it.
import type { DrvGraph, DrvNode, NodeId } from '../drv-graph.ts';

/** @throws DrvGraphError DRV_GRAPH_UNKNOWN_NODE */
export const drvNodeOf = (graph: DrvGraph, id: NodeId): DrvNode => {
  const used = graph.usedOutputsOf(id);
  return {
    path: graph.pathOf(id),
    system: graph.systemOf(id),
    fixedOutput: graph.isFixedOutput(id),
    preferLocalBuild: graph.prefersLocalBuild(id),
    allowSubstitutes: graph.allowsSubstitutes(id),
    requiredFeatures: graph.requiredFeaturesOf(id),
    outputs: graph.outputsOf(id),
    inputs: Array.from(graph.inputsOf(id), (input, at) => ({
      path: graph.pathOf(input),
      outputs: used[at] ?? [],
    })),
  };
};
