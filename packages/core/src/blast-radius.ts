// The rebuilt derivations that most others wait for, found without counting for each of them.
import type { DrvGraph, NodeId } from './drv-graph.ts';
import type { RebuiltClosure } from './rebuilt-closure.ts';

export interface BlastRadius {
  readonly id: NodeId;
  readonly dependents: number;
}

export interface BlastRadiusQuery {
  readonly graph: DrvGraph;
  readonly rebuilt: RebuiltClosure;
  /** Which dependents count: the job's own derivations. */
  readonly counted: { has(id: NodeId): boolean };
  readonly isCandidate: (id: NodeId) => boolean;
  readonly limit: number;
}

/** As many as one machine word has bits: one pass over the edges counts for all of them. */
const BATCH = 32;

/** The rebuilt part of the graph by position: inputs have lower positions than their dependents. */
interface RebuiltEdges {
  readonly nodes: Uint32Array;
  readonly positions: Map<NodeId, number>;
  /** Edges of position p are `inputs[starts[p]]` to before `inputs[starts[p + 1]]`. */
  readonly starts: Uint32Array;
  readonly inputs: Uint32Array;
}

/** A fixed output does not change with its inputs: nothing is rebuilt through such an edge. */
const collectEdges = ({ graph, rebuilt }: BlastRadiusQuery): RebuiltEdges => {
  const positions = new Map<NodeId, number>();
  const starts = new Uint32Array(rebuilt.nodes.length + 1);
  const inputs: number[] = [];
  for (const [position, id] of rebuilt.nodes.entries()) {
    positions.set(id, position);
    if (!graph.isFixedOutput(id)) {
      for (const input of graph.inputsOf(id)) {
        const at = positions.get(input);
        if (at !== undefined) inputs.push(at);
      }
    }
    starts[position + 1] = inputs.length;
  }
  return { nodes: rebuilt.nodes, positions, starts, inputs: Uint32Array.from(inputs) };
};

/** Ways up in place of nodes reached: exact in a tree, too many elsewhere, never too few. */
const boundByWays = (edges: RebuiltEdges, weight: Uint8Array): Float64Array => {
  const total = weight.reduce((sum, one) => sum + one, 0);
  const bounds = new Float64Array(edges.nodes.length);
  for (let position = edges.nodes.length - 1; position >= 0; position--) {
    const ways = Math.min(total, (bounds[position] ?? 0) + (weight[position] ?? 0));
    for (let edge = edges.starts[position] ?? 0; edge < (edges.starts[position + 1] ?? 0); edge++) {
      const input = edges.inputs[edge] ?? 0;
      bounds[input] = Math.min(total, (bounds[input] ?? 0) + ways);
    }
  }
  return bounds;
};

/** Exact counts for at most 32 positions, in one pass from the lowest of them upwards. */
const countBatch = (edges: RebuiltEdges, weight: Uint8Array, batch: readonly number[]): number[] => {
  const masks = new Uint32Array(edges.nodes.length);
  const own = new Map(batch.map((position, bit) => [position, 1 << bit]));
  const counts = batch.map(() => 0);
  for (let position = Math.min(...batch); position < edges.nodes.length; position++) {
    let below = 0;
    for (let edge = edges.starts[position] ?? 0; edge < (edges.starts[position + 1] ?? 0); edge++) {
      below |= masks[edges.inputs[edge] ?? 0] ?? 0;
    }
    if (below !== 0 && weight[position] === 1) {
      for (let rest = below; rest !== 0; rest &= rest - 1) {
        const bit = 31 - Math.clz32(rest & -rest);
        counts[bit] = (counts[bit] ?? 0) + 1;
      }
    }
    masks[position] = below | (own.get(position) ?? 0);
  }
  return counts;
};

/** After an exact count of an input, no dependent can have more: tightens the bounds of all above. */
const tightenBounds = (edges: RebuiltEdges, bounds: Float64Array, weight: Uint8Array): void => {
  for (let position = 0; position < edges.nodes.length; position++) {
    let bound = bounds[position] ?? 0;
    for (let edge = edges.starts[position] ?? 0; edge < (edges.starts[position + 1] ?? 0); edge++) {
      bound = Math.min(bound, (bounds[edges.inputs[edge] ?? 0] ?? 0) - (weight[position] ?? 0));
    }
    bounds[position] = bound;
  }
};

/** The `count` highest bounds among positions not yet counted, highest first. */
const takeHighest = (open: number[], bounds: Float64Array, count: number): number[] => {
  open.sort((a, b) => (bounds[b] ?? 0) - (bounds[a] ?? 0) || a - b);
  return open.splice(0, count);
};

/**
 * The candidates with most rebuilt dependents among `counted`, transitively; unordered, and with everything that
 * ties with the last, so that the caller can order ties by something stable. None without a dependent.
 */
export const findTopBlastRadius = (query: BlastRadiusQuery): readonly BlastRadius[] => {
  if (query.limit <= 0 || query.rebuilt.nodes.length === 0) return [];
  const edges = collectEdges(query);
  const weight = Uint8Array.from(edges.nodes, (id) => (query.counted.has(id) ? 1 : 0));
  const bounds = boundByWays(edges, weight);
  tightenBounds(edges, bounds, weight);
  let open = [...edges.nodes.keys()].filter((position) => query.isCandidate(edges.nodes[position] ?? 0));
  const exact: { position: number; dependents: number }[] = [];
  const threshold = (): number => exact[query.limit - 1]?.dependents ?? 1;
  while (open.length > 0) {
    const batch = takeHighest(open, bounds, BATCH).filter((at) => (bounds[at] ?? 0) >= threshold());
    if (batch.length === 0) break;
    for (const [index, dependents] of countBatch(edges, weight, batch).entries()) {
      const position = batch[index] ?? 0;
      bounds[position] = dependents;
      if (dependents > 0) exact.push({ position, dependents });
    }
    exact.sort((a, b) => b.dependents - a.dependents);
    tightenBounds(edges, bounds, weight);
    open = open.filter((at) => (bounds[at] ?? 0) >= threshold());
  }
  const last = threshold();
  return exact
    .filter(({ dependents }) => dependents >= last)
    .map(({ position, dependents }) => ({ id: edges.nodes[position] ?? 0, dependents }));
};
