// Builds in simulated time: nodes take as long as they are said to, slots are all alike, and a policy says which ready
// node comes next.
import { BuildFrontier } from '@eka-ci/core/build-frontier';
import { type BuildClass, BuildOrder } from '@eka-ci/core/build-order';
import type { DrvGraph, NodeId } from '@eka-ci/core/drv-graph';
import { NodeHeap } from '@eka-ci/core/graph/node-heap';

/** A change that comes at a moment and wants what nobody else wants. */
export interface Arrival {
  /** Seconds; ascending. */
  readonly atS: number;
  readonly wanted: readonly NodeId[];
}

/** Which ready node comes next. */
export interface Policy {
  arrive(arrival: Arrival): void;
  ready(node: NodeId): void;
  take(): NodeId | undefined;
  settle(node: NodeId): void;
}

export interface Simulation {
  readonly graph: DrvGraph;
  readonly arrivals: readonly Arrival[];
  readonly slots: number;
  /** Seconds. */
  readonly durationOf: (node: NodeId) => number;
  readonly policy: Policy;
}

export interface Simulated {
  /** Seconds from the first arrival to the last end. */
  readonly makespanS: number;
  /** Seconds from each arrival to the end of its last build. */
  readonly verdictsS: readonly number[];
  readonly built: number;
}

export const simulate = ({ graph, arrivals, slots, durationOf, policy }: Simulation): Simulated => {
  const frontier = new BuildFrontier(graph, []);
  const ownerOf = new Map<NodeId, number>();
  const left = arrivals.map(({ wanted }) => wanted.length);
  const verdictsS = arrivals.map(() => 0);
  // The earliest end first: a heap of the highest priority, turned over.
  const ends = new NodeHeap();
  const endAt = new Map<NodeId, number>();
  let [nowS, next, running, built] = [0, 0, 0, 0];
  const arrive = (arrival: Arrival): void => {
    for (const node of arrival.wanted) ownerOf.set(node, next);
    const { ready } = frontier.extend(arrival.wanted);
    policy.arrive(arrival);
    for (const node of ready) policy.ready(node);
    next++;
  };
  const settle = (node: NodeId): void => {
    ends.pop();
    running--;
    built++;
    for (const ready of frontier.settleSucceeded(node)) policy.ready(ready);
    policy.settle(node);
    const owner = ownerOf.get(node) ?? 0;
    left[owner] = (left[owner] ?? 0) - 1;
    if (left[owner] === 0) verdictsS[owner] = nowS - (arrivals[owner]?.atS ?? 0);
  };
  for (;;) {
    const ending = ends.peek();
    const arrival = arrivals[next];
    const endS = ending === undefined ? Number.POSITIVE_INFINITY : (endAt.get(ending) ?? 0);
    const arrivalS = arrival?.atS ?? Number.POSITIVE_INFINITY;
    nowS = Math.min(endS, arrivalS);
    if (nowS === Number.POSITIVE_INFINITY) break;
    if (arrival !== undefined && arrivalS <= endS) arrive(arrival);
    else if (ending !== undefined) settle(ending);
    for (; running < slots; running++) {
      const node = policy.take();
      if (node === undefined) break;
      const end = nowS + durationOf(node);
      endAt.set(node, end);
      ends.push(node, -end);
    }
  }
  return { makespanS: Math.max(0, ...endAt.values()), verdictsS, built };
};

/** In the order in which they became ready. */
export const firstInFirstOut = (): Policy => {
  const queue: NodeId[] = [];
  let head = 0;
  return {
    arrive: () => {},
    ready: (node) => void queue.push(node),
    take: () => (head < queue.length ? queue[head++] : undefined),
    settle: () => {},
  };
};

/** By priorities that mean nothing. */
export const atRandom = (random: () => number): Policy => {
  const heap = new NodeHeap();
  return {
    arrive: () => {},
    ready: (node) => heap.push(node, random()),
    take: () => heap.pop(),
    settle: () => {},
  };
};

/** @param expected seconds, as far as anybody knows beforehand */
export const asEkaCi = (
  graph: DrvGraph,
  expected: (node: NodeId) => number,
  buildClass: BuildClass = 'open-change',
): Policy => {
  const order = new BuildOrder(graph, { durationOf: expected });
  return {
    arrive: ({ atS, wanted }) => void order.add({ class: buildClass, arrivedAtS: atS, wanted }),
    ready: (node) => order.markReady(node),
    take: () => order.take(),
    settle: (node) => void order.settle(node),
  };
};
