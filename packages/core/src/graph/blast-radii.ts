// Exact blast radii of thousands of nodes at once: sets of sources as bits, pushed up the graph 256 at a time.
import type { NodeId } from '../drv-node.ts';
import type { NodeSet } from '../node-set.ts';
import type { Links } from './links.ts';

/** The nodes above the sources, renumbered so that dependents come before what they need. */
interface Cone {
  /** Position to node. */
  readonly order: Uint32Array;
  /** Position to the first of its cells; the dependents of p are `dependents[offsets[p] … offsets[p + 1] - 1]`, as positions. */
  readonly offsets: Uint32Array;
  readonly dependents: Uint32Array;
  /** Position to 1 where the node counts. */
  readonly counts: Uint8Array;
}

export interface BlastQuestion {
  readonly ids: readonly NodeId[];
  /** All that `ids` reach over dependents, `ids` included, dependents before what they need. */
  readonly order: Uint32Array;
  readonly nodeCount: number;
  /** Towards dependents. */
  readonly links: Links;
  /** Undefined: all nodes count. */
  readonly within: NodeSet | undefined;
}

/** Words of 32 sources pushed in one pass: a node's masks then fill half a cache line. */
const MAX_WORDS = 8;

/**
 * A node with one dependent reaches what that one reaches and the dependent itself; half of all real nodes (sources)
 * are such. So only the lowest node above each source with no or several dependents, its *fork*, is propagated.
 */
export function countBlastRadii(question: BlastQuestion): Uint32Array {
  const positions = new Uint32Array(question.nodeCount);
  const cone = coneOf(question, positions);
  const { forks, between } = findForks(cone);

  const sources = new Set<number>();
  for (const id of question.ids) sources.add(forks[positions[id] ?? 0] ?? 0);
  const radii = propagate(cone, Uint32Array.from(sources).sort());

  return Uint32Array.from(question.ids, (id) => {
    const position = positions[id] ?? 0;
    return (radii.get(forks[position] ?? 0) ?? 0) + (between[position] ?? 0);
  });
}

function coneOf({ order, links, within }: BlastQuestion, positions: Uint32Array): Cone {
  const { start, cells } = links;
  const counts = new Uint8Array(order.length);
  const offsets = new Uint32Array(order.length + 1);
  for (let position = 0; position < order.length; position++) {
    const id = order[position] ?? 0;
    positions[id] = position;
    counts[position] = within === undefined || within.has(id) ? 1 : 0;
    offsets[position + 1] = (offsets[position] ?? 0) + (cells[start[id] ?? 0] ?? 0);
  }
  const dependents = new Uint32Array(offsets[order.length] ?? 0);
  let filled = 0;
  for (let position = 0; position < order.length; position++) {
    const head = start[order[position] ?? 0] ?? 0;
    const end = head + (cells[head] ?? 0);
    for (let at = head + 1; at <= end; at++) dependents[filled++] = positions[cells[at] ?? 0] ?? 0;
  }
  return { order, offsets, dependents, counts };
}

/** Per position: its fork, and how many counting nodes lie on the way there, the fork included. */
function findForks({ order, offsets, dependents, counts }: Cone) {
  const forks = new Uint32Array(order.length);
  const between = new Uint32Array(order.length);
  for (let position = 0; position < order.length; position++) {
    const first = offsets[position] ?? 0;
    const isFork = (offsets[position + 1] ?? 0) - first !== 1;
    const only = dependents[first] ?? 0;
    forks[position] = isFork ? position : (forks[only] ?? 0);
    between[position] = isFork ? 0 : (between[only] ?? 0) + (counts[only] ?? 0);
  }
  return { forks, between };
}

/** @param sources positions, ascending: neighbours share much of what is above them, and early ones have little. */
function propagate(cone: Cone, sources: Uint32Array): Map<number, number> {
  const radii = new Map<number, number>();
  const words = Math.min(MAX_WORDS, Math.max(1, Math.ceil(sources.length / 32)));
  const masks = new Uint32Array(cone.order.length * words);
  for (let from = 0; from < sources.length; from += words * 32) {
    const block = sources.subarray(from, from + words * 32);
    const tallies = new BitTallies(words);
    pushBlock(cone, block, { masks, words, tallies });
    for (const [bit, source] of block.entries()) radii.set(source, tallies.of(bit));
  }
  return radii;
}

interface Pass {
  /** `words` words a position; all zero before and after a pass. */
  readonly masks: Uint32Array;
  readonly words: number;
  readonly tallies: BitTallies;
}

function pushBlock(
  { offsets, dependents, counts }: Cone,
  block: Uint32Array,
  { masks, words, tallies }: Pass,
): void {
  let nextSource = block.length - 1;
  for (let position = block[nextSource] ?? 0; position >= 0; position--) {
    const mask = position * words;
    let any = 0;
    for (let word = 0; word < words; word++) any |= masks[mask + word] ?? 0;
    if (any !== 0 && counts[position] === 1) tallies.add(masks, mask);
    // A source's own bit is set after counting: it does not count itself.
    if (block[nextSource] === position) {
      masks[mask + (nextSource >>> 5)] = (masks[mask + (nextSource >>> 5)] ?? 0) | (1 << (nextSource & 31));
      any = 1;
      nextSource--;
    }
    if (any === 0) continue;
    const end = offsets[position + 1] ?? 0;
    for (let at = offsets[position] ?? 0; at < end; at++) {
      const target = (dependents[at] ?? 0) * words;
      for (let word = 0; word < words; word++) {
        masks[target + word] = (masks[target + word] ?? 0) | (masks[mask + word] ?? 0);
      }
    }
    masks.fill(0, mask, mask + words);
  }
}

/**
 * One counter a bit, kept sideways: plane k holds bit k of 32 counters, so that adding a mask to all of them
 * costs two steps on average (a ripple-carry adder, 32 wide) and not one a set bit.
 */
class BitTallies {
  readonly #words: number;
  readonly #planes: Uint32Array;

  constructor(words: number) {
    this.#words = words;
    this.#planes = new Uint32Array(words * 32);
  }

  add(masks: Uint32Array, from: number): void {
    const planes = this.#planes;
    for (let word = 0; word < this.#words; word++) {
      let carry = masks[from + word] ?? 0;
      for (let plane = word * 32; carry !== 0; plane++) {
        const before = planes[plane] ?? 0;
        planes[plane] = before ^ carry;
        carry &= before;
      }
    }
  }

  of(bit: number): number {
    let tally = 0;
    for (let plane = 31; plane >= 0; plane--) {
      tally = tally * 2 + (((this.#planes[(bit >>> 5) * 32 + plane] ?? 0) >>> (bit & 31)) & 1);
    }
    return tally;
  }
}
