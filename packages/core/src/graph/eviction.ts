// What a full table forgets first. No clock: whoever asks knows how old things are.
import type { BuildState } from '../build-state.ts';
import type { NodeId } from '../drv-node.ts';
import { NodeSet } from '../node-set.ts';
import type { DrvNodeTable } from './drv-node-table.ts';

/** In the order in which they are forgotten: nobody comes back soon to what failed long ago. */
export const evictionTiers = ['transitive-failure', 'failure', 'success', 'least-recently-used'] as const;
export type EvictionTier = (typeof evictionTiers)[number];

const hourMs = 3_600_000;

/**
 * @param state of its build, null where nobody knows of one
 * @param ageMs since it came to that state
 */
export const evictionTierOf = (state: BuildState | null, ageMs: number): EvictionTier => {
  if (state === 'dependency-failed' && ageMs > hourMs) return 'transitive-failure';
  if (state === 'failed' && ageMs > 6 * hourMs) return 'failure';
  if (state === 'succeeded' && ageMs > 24 * hourMs) return 'success';
  return 'least-recently-used';
};

/** Nodes that may be forgotten, and what is known of each, by id. */
export interface EvictionCandidates {
  readonly ids: Uint32Array;
  readonly tierOf: (id: NodeId) => EvictionTier;
  /** The lower, the longer ago. */
  readonly lastUseOf: (id: NodeId) => number;
}

const rankOf = new Map(evictionTiers.map((tier, rank) => [tier, rank]));

const inOrder = ({ ids, tierOf, lastUseOf }: EvictionCandidates, bound: number): Uint32Array => {
  const ranks = new Uint8Array(bound);
  for (const id of ids) ranks[id] = rankOf.get(tierOf(id)) ?? 0;
  return ids.toSorted((a, b) => (ranks[a] ?? 0) - (ranks[b] ?? 0) || lastUseOf(a) - lastUseOf(b) || a - b);
};

/** How many nodes that stay name each as an input. */
const countDependents = (table: DrvNodeTable): Uint32Array => {
  const counts = new Uint32Array(table.bound);
  const { start, cells } = table.inputLinks;
  for (let id = 0; id < table.bound; id++) {
    const head = start[id] ?? 0;
    const end = head + (cells[head] ?? 0);
    for (let at = head + 1; at <= end; at++) {
      const input = cells[at] ?? 0;
      counts[input] = (counts[input] ?? 0) + 1;
    }
  }
  return counts;
};

/**
 * The first of the candidates in their order, as many as it takes to leave `target` nodes, placeholders included: what
 * is dropped while something needs it stays as one. All of them where that is not enough.
 * O(nodes + edges), and the sorting of the candidates.
 */
export const chooseEvicted = (
  table: DrvNodeTable,
  candidates: EvictionCandidates,
  target: number,
): NodeSet => {
  const dependents = countDependents(table);
  const dropped = new NodeSet(table.bound);
  let left = table.count;
  for (const id of inOrder(candidates, table.bound)) {
    if (left <= target) break;
    dropped.add(id);
    if (dependents[id] === 0) left--;
    for (const input of table.inputsOf(id)) {
      dependents[input] = (dependents[input] ?? 0) - 1;
      if (dependents[input] === 0 && (dropped.has(input) || !table.isComplete(input))) left--;
    }
  }
  return dropped;
};
