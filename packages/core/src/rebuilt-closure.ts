// Which derivations below a change's roots must be built anew, and which of those are the edit itself.
import { type DrvGraph, type NodeId, NodeSet } from './drv-graph.ts';

/** The derivations that a change makes necessary to build. */
export interface RebuiltClosure {
  /** Inputs before dependents. Two derivations with the same outputs are both here, being one build. */
  readonly nodes: Uint32Array;
  readonly set: NodeSet;
  /**
   * Rebuilt derivations that no rebuilt input explains: the edit, as opposed to its fallout. A rebuilt fixed-output
   * derivation is always one, because its outputs are what its hash says, whatever its inputs are.
   */
  readonly causes: NodeSet;
  /** Distinct builds: derivations with the same outputs count once. */
  readonly buildCount: number;
}

/** What two derivations share when they are the same build: output paths, or the `.drv` where those are unknown. */
export const buildKeyOf = (graph: DrvGraph, id: NodeId): string => {
  const outputs = graph.outputsOf(id);
  const first = outputs[0]?.path;
  if (first === undefined || outputs.some((output) => output.path === '')) return graph.pathOf(id);
  return first;
};

const outputPathsOf = (graph: DrvGraph, ids: Iterable<NodeId>): Set<string> => {
  const paths = new Set<string>();
  for (const id of ids) for (const { path } of graph.outputsOf(id)) if (path !== '') paths.add(path);
  return paths;
};

/** Splits `fresh` by whether each output of a member is an output of one of `others`. */
const matchOutputs = (
  graph: DrvGraph,
  fresh: readonly NodeId[],
  others: Iterable<NodeId>,
): { readonly matched: readonly NodeId[]; readonly unmatched: readonly NodeId[] } => {
  const wanted = outputPathsOf(graph, fresh);
  const found = new Set<string>();
  for (const id of others) for (const { path } of graph.outputsOf(id)) if (wanted.has(path)) found.add(path);
  const isMatched = (id: NodeId): boolean => {
    const outputs = graph.outputsOf(id);
    return outputs.length > 0 && outputs.every(({ path }) => found.has(path));
  };
  const matched = fresh.filter(isMatched);
  const known = new Set(matched);
  return { matched, unmatched: fresh.filter((id) => !known.has(id)) };
};

/** Fixed-output derivations of `ids` that are named like one of `fresh`: another name is another output path. */
const findNamesakes = (graph: DrvGraph, fresh: readonly NodeId[], ids: Uint32Array): NodeId[] => {
  const names = new Set<string>();
  for (const id of fresh) if (graph.isFixedOutput(id)) names.add(graph.nameOf(id));
  if (names.size === 0) return [];
  const namesakes: NodeId[] = [];
  for (const id of ids) if (graph.isFixedOutput(id) && names.has(graph.nameOf(id))) namesakes.push(id);
  return namesakes;
};

/**
 * The members of `fresh` that the base builds under another `.drv`. Looked for among what left the base, where they
 * nearly always are; reading the outputs of the whole base takes longer than all the rest, and is needed only where
 * something that stays on the base has the fixed outputs of something fresh, since nothing else makes derivations
 * differ that build the same.
 */
const findKnown = (
  graph: DrvGraph,
  fresh: readonly NodeId[],
  base: { readonly left: Iterable<NodeId>; readonly closure: Uint32Array },
): NodeSet => {
  const { matched, unmatched } = matchOutputs(graph, fresh, base.left);
  const known = NodeSet.of(matched);
  const namesakes = findNamesakes(graph, unmatched, base.closure);
  if (namesakes.length === 0 || matchOutputs(graph, unmatched, namesakes).matched.length === 0) return known;
  for (const id of matchOutputs(graph, unmatched, base.closure).matched) known.add(id);
  return known;
};

/**
 * From the roots downwards through what the base does not have: the inputs of something the base already has are
 * not needed, be they new themselves (the new curl that an unchanged source would be fetched with).
 */
const demandedOf = (graph: DrvGraph, roots: readonly NodeId[], isNew: (id: NodeId) => boolean): NodeSet => {
  const demanded = new NodeSet(graph.nodeCount);
  const open = roots.filter((root) => isNew(root));
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (demanded.has(id)) continue;
    demanded.add(id);
    for (const input of graph.inputsOf(id)) if (!demanded.has(input) && isNew(input)) open.push(input);
  }
  return demanded;
};

const findCauses = (graph: DrvGraph, nodes: Uint32Array, rebuilt: NodeSet): NodeSet => {
  const causes = new NodeSet(graph.nodeCount);
  for (const id of nodes) {
    if (graph.isFixedOutput(id) || !graph.inputsOf(id).some((input) => rebuilt.has(input))) causes.add(id);
  }
  return causes;
};

/** Which derivations each side of a plan asks for. */
export interface PlanRoots {
  /** Of added and changed attributes. */
  readonly toBuild: readonly NodeId[];
  /** Of every attribute of the base. */
  readonly base: readonly NodeId[];
  /** Of attributes of the base that have another derivation, or none, on the judged tree. */
  readonly left: readonly NodeId[];
}

/** Linear in the nodes and edges below the roots. */
export const findRebuilt = (graph: DrvGraph, roots: PlanRoots): RebuiltClosure => {
  const baseClosure = graph.closureOf(roots.base);
  const onBase = new NodeSet(graph.nodeCount);
  for (const id of baseClosure) onBase.add(id);
  const closure = graph.closureOf(roots.toBuild, (id) => !onBase.has(id));
  const fresh = [...closure].filter((id) => !onBase.has(id));
  const stillUsed = NodeSet.of(graph.closureOf(roots.toBuild));
  const left = graph.closureOf(roots.left, (id) => !stillUsed.has(id));
  const known = findKnown(graph, fresh, { left, closure: baseClosure });
  const set = demandedOf(graph, roots.toBuild, (id) => !onBase.has(id) && !known.has(id));
  const nodes = Uint32Array.from(fresh.filter((id) => set.has(id)));
  const builds = new Set<string>();
  for (const id of nodes) builds.add(buildKeyOf(graph, id));
  return { nodes, set, causes: findCauses(graph, nodes, set), buildCount: builds.size };
};
