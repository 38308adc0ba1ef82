// Ready derivations by the kind of slot they take, the one with the longest chain of builds above it first.
import type { BuildFrontier } from '@eka-ci/core/build-frontier';
import type { DrvGraph, NodeId } from '@eka-ci/core/drv-graph';
import { PriorityQueue } from '../../lib/priority-queue.ts';
import { type SlotKind, slotKinds } from './schedule-options.ts';

interface Entry {
  readonly node: NodeId;
  readonly isRoot: boolean;
  /** As of when it was added: a queue whose order changes under it is none. */
  readonly chain: number;
}

const compare = (a: Entry, b: Entry): number => b.chain - a.chain || Number(b.isRoot) - Number(a.isRoot);

export const slotKindOf = (graph: DrvGraph, node: NodeId): SlotKind =>
  graph.isFixedOutput(node) ? 'fixedOutput' : 'build';

export interface SlotQueuesDeps {
  readonly graph: DrvGraph;
  readonly frontier: BuildFrontier;
  readonly roots: Iterable<NodeId>;
}

export class SlotQueues {
  readonly #graph: DrvGraph;
  readonly #frontier: BuildFrontier;
  readonly #roots: ReadonlySet<NodeId>;
  readonly #queues = {
    build: new PriorityQueue<Entry>(compare),
    fixedOutput: new PriorityQueue<Entry>(compare),
  };

  constructor({ graph, frontier, roots }: SlotQueuesDeps) {
    this.#graph = graph;
    this.#frontier = frontier;
    this.#roots = new Set(roots);
  }

  add(node: NodeId): void {
    const chain = this.#frontier.criticalPathLength(node);
    this.#queues[slotKindOf(this.#graph, node)].add({ node, chain, isRoot: this.#roots.has(node) });
  }

  take(kind: SlotKind): NodeId | undefined {
    return this.#queues[kind].take()?.node;
  }

  /** Of those that wait for a slot; 0 where none does. */
  longestChain(): number {
    return Math.max(0, ...slotKinds.map((kind) => this.#queues[kind].peek()?.chain ?? 0));
  }

  isEmpty(): boolean {
    return slotKinds.every((kind) => this.#queues[kind].size === 0);
  }

  takeAll(): NodeId[] {
    const all: NodeId[] = [];
    for (const kind of slotKinds) {
      for (let node = this.take(kind); node !== undefined; node = this.take(kind)) all.push(node);
    }
    return all;
  }

  /** To be called after the frontier was extended: chains may be longer then. */
  reorder(): void {
    for (const node of this.takeAll()) this.add(node);
  }
}
