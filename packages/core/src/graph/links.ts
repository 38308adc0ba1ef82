// Adjacency in two typed arrays, one direction each: inputs as they are added, dependents derived from them.
import type { NodeId } from '../drv-node.ts';
import type { Steps } from '../steps.ts';
import { growUint32 } from './growable.ts';

/**
 * `cells[start[id]]` is how many neighbours a node has; they follow it. A node without any shares the zero
 * at cell 0. Both arrays may be longer than what is used.
 */
export interface Links {
  readonly start: Uint32Array;
  readonly cells: Uint32Array;
}

export function neighboursOf({ start, cells }: Links, id: NodeId): Uint32Array {
  const head = start[id] ?? 0;
  return cells.subarray(head + 1, head + 1 + (cells[head] ?? 0));
}

/** Links that are written one node's list after the other, in any order of nodes. */
export class GrowingLinks implements Links {
  start = new Uint32Array(64);
  cells = new Uint32Array(64);
  /** Cells used. */
  length = 1;

  reserveNodes(count: number): void {
    this.start = growUint32(this.start, count);
  }

  /** Opens the list of `id` with room for `atMost` neighbours; the lists before it are closed by this. */
  open(id: NodeId, atMost: number): void {
    this.cells = growUint32(this.cells, this.length + 1 + atMost);
    if (atMost > 0) this.start[id] = this.length++;
  }

  /** Appends to the list opened for `id`; returns the cell's index. */
  append(id: NodeId, neighbour: NodeId): number {
    const head = this.start[id] ?? 0;
    this.cells[head] = (this.cells[head] ?? 0) + 1;
    this.cells[this.length] = neighbour;
    return this.length++;
  }
}

/** Nodes between two steps: less than a millisecond. */
const REVERSED_AT_ONCE = 4096;

/**
 * The edges of `nodes` seen from the other end, each list in the order of `nodes`, in O(bound + nodes + edges).
 * @param bound all ids are below it
 */
export function* reverseLinks({ start, cells }: Links, nodes: Uint32Array, bound: number): Steps<Links> {
  const reversedStart = new Uint32Array(bound);
  let seen = 0;
  for (const id of nodes) {
    if (++seen % REVERSED_AT_ONCE === 0) yield;
    const head = start[id] ?? 0;
    const end = head + (cells[head] ?? 0);
    for (let at = head + 1; at <= end; at++) {
      const neighbour = cells[at] ?? 0;
      reversedStart[neighbour] = (reversedStart[neighbour] ?? 0) + 1;
    }
  }
  let length = 1;
  for (let id = 0; id < bound; id++) {
    const count = reversedStart[id] ?? 0;
    if (count === 0) continue;
    reversedStart[id] = length;
    length += count + 1;
  }
  yield;
  const reversedCells = new Uint32Array(length);
  for (const id of nodes) {
    if (++seen % REVERSED_AT_ONCE === 0) yield;
    const head = start[id] ?? 0;
    const end = head + (cells[head] ?? 0);
    for (let at = head + 1; at <= end; at++) {
      const reversedHead = reversedStart[cells[at] ?? 0] ?? 0;
      const filled = (reversedCells[reversedHead] ?? 0) + 1;
      reversedCells[reversedHead] = filled;
      reversedCells[reversedHead + filled] = id;
    }
  }
  return { start: reversedStart, cells: reversedCells };
}
