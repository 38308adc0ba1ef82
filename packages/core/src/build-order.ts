// Which ready build is started next, where several changes want builds, some of them the same. No clock, no slots:
// whoever has a free slot asks for the best build of a kind that fits it.
import type { DrvGraph, NodeId } from './drv-graph.ts';
import { NodeHeap } from './graph/node-heap.ts';
import { type Steps, takeAll } from './steps.ts';

/**
 * In the order in which they are served: nothing of a later one is started while an earlier one has a build ready that
 * fits the same slot. `ordered` is what somebody asked for by hand and waits for.
 */
export const buildClasses = ['ordered', 'merge-queue', 'open-change', 'base-branch', 'flaky-retry'] as const;
export type BuildClass = (typeof buildClasses)[number];

/** What somebody wants built. */
export interface Demand {
  readonly class: BuildClass;
  /** Seconds, on the clock of all demands. */
  readonly arrivedAtS: number;
  /** Nodes that are not settled yet. Inputs outside of it count as done. */
  readonly wanted: Iterable<NodeId>;
}

/** Given by add(); never reused. */
export type DemandId = number;

export interface BuildOrderOptions {
  /** Expected seconds of one build. Asked once a demand, when it is added. */
  readonly durationOf: (id: NodeId) => number;
  /** Builds of different kinds fit different slots; small whole numbers. @default all are of kind 0 */
  readonly kindOf?: (id: NodeId) => number;
  /** @see defaultAgeCredit */
  readonly ageCredit?: number;
}

/**
 * Seconds of remaining work that a demand is forgiven for each second it has waited. With 0 a mass rebuild could wait
 * for ever behind small changes; with much more than the number of slots the oldest always comes first. Between 0 and 2
 * it makes little difference to the mean time to a verdict (the benchmark `order`).
 */
const defaultAgeCredit = 1;
const onlyKind = [0] as const;

interface OpenDemand {
  readonly rank: number;
  readonly credit: number;
  /** Seconds of work that is not settled. */
  remainingS: number;
  /** Of what is not settled: the longest chain of expected seconds from the node up within the demand. */
  readonly chains: Map<NodeId, number>;
  /** By kind. May hold what is ready no more: another demand's slot took it. */
  readonly ready: (NodeHeap | undefined)[];
}

const isBetter = (a: OpenDemand, b: OpenDemand): boolean =>
  a.rank < b.rank || (a.rank === b.rank && a.remainingS + a.credit < b.remainingS + b.credit);

/**
 * The class decides first; then the demand with the least remaining work, with credit for age; within it the longest
 * chain that is still to be built. A build that several want has the best of their places. Settling and asking cost
 * in proportion to the demands, never to the graph.
 */
export class BuildOrder {
  readonly #graph: DrvGraph;
  readonly #durationOf: (id: NodeId) => number;
  readonly #kindOf: (id: NodeId) => number;
  readonly #ageCredit: number;
  readonly #demands = new Map<DemandId, OpenDemand>();
  readonly #wantedBy = new Map<NodeId, DemandId[]>();
  readonly #ready = new Set<NodeId>();
  readonly #durations = new Map<NodeId, number>();
  #nextId: DemandId = 1;

  constructor(graph: DrvGraph, options: BuildOrderOptions) {
    this.#graph = graph;
    this.#durationOf = options.durationOf;
    this.#kindOf = options.kindOf ?? (() => 0);
    this.#ageCredit = options.ageCredit ?? defaultAgeCredit;
  }

  /** O(what is wanted and its edges). What is wanted by others and ready already counts for this one as well. */
  add(demand: Demand): DemandId {
    return takeAll(this.addInSteps(demand));
  }

  /** The same. Between its steps the order may be asked of others, and neither it nor the graph may be changed. */
  *addInSteps({ class: buildClass, arrivedAtS, wanted }: Demand): Steps<DemandId> {
    const id = this.#nextId++;
    const demand: OpenDemand = {
      rank: buildClasses.indexOf(buildClass),
      credit: this.#ageCredit * arrivedAtS,
      remainingS: 0,
      chains: new Map(),
      ready: [],
    };
    const members = new Set<NodeId>();
    for (const node of wanted) {
      if (members.has(node)) continue;
      yield;
      members.add(node);
      demand.remainingS += this.#durationIn(node);
      const others = this.#wantedBy.get(node);
      if (others === undefined) this.#wantedBy.set(node, [id]);
      else others.push(id);
    }
    yield* this.#measureChains(demand, members);
    this.#demands.set(id, demand);
    for (const node of members) {
      yield;
      if (this.#ready.has(node)) this.#offer(demand, node);
    }
    return id;
  }

  /** Nobody asks for it any more. @returns what no other demand wants, ready or not, in no order */
  remove(id: DemandId): NodeId[] {
    return takeAll(this.removeInSteps(id));
  }

  /** The same. Between its steps the order may be asked, and not be changed. */
  *removeInSteps(id: DemandId): Steps<NodeId[]> {
    const demand = this.#demands.get(id);
    if (demand === undefined) return [];
    this.#demands.delete(id);
    const unwanted: NodeId[] = [];
    for (const node of demand.chains.keys()) {
      yield;
      const left = (this.#wantedBy.get(node) ?? []).filter((other) => other !== id);
      if (left.length > 0) this.#wantedBy.set(node, left);
      else {
        this.#forget(node);
        unwanted.push(node);
      }
    }
    return unwanted;
  }

  /** All that it needs is there; also for one that is to be tried again. Nobody's wish is ignored. */
  markReady(node: NodeId): void {
    const wantedBy = this.#wantedBy.get(node);
    if (wantedBy === undefined) return;
    this.#ready.add(node);
    for (const id of wantedBy) {
      const demand = this.#demands.get(id);
      if (demand !== undefined) this.#offer(demand, node);
    }
  }

  /** The next to be started among the ready of these kinds, which is ready no more then; undefined where there is none. */
  take(kinds: readonly number[] = onlyKind): NodeId | undefined {
    let best: OpenDemand | undefined;
    let bestKind: number | undefined;
    for (const demand of this.#demands.values()) {
      if (best !== undefined && !isBetter(demand, best)) continue;
      const kind = this.#longestOf(demand, kinds);
      if (kind === undefined) continue;
      best = demand;
      bestKind = kind;
    }
    const node = bestKind === undefined ? undefined : best?.ready[bestKind]?.pop();
    if (node !== undefined) this.#ready.delete(node);
    return node;
  }

  /** True where a build is ready, of whatever kind. */
  hasReady(): boolean {
    return this.#ready.size > 0;
  }

  /** Those that are ready, in no order. */
  ready(): Iterable<NodeId> {
    return this.#ready;
  }

  /** Who wants it, of those it is not settled for. */
  demandsOf(node: NodeId): readonly DemandId[] {
    return this.#wantedBy.get(node) ?? [];
  }

  /** What a demand wants and is not settled, dependents before what they need but for what has joined. */
  nodesOf(id: DemandId): Iterable<NodeId> {
    return this.#demands.get(id)?.chains.keys() ?? [];
  }

  /** A demand wants this one as well: something it wants has come to wait for it. */
  join(id: DemandId, node: NodeId): void {
    const demand = this.#demands.get(id);
    if (demand === undefined || demand.chains.has(node)) return;
    demand.remainingS += this.#durationIn(node);
    this.#wantedBy.set(node, [...this.demandsOf(node), id]);
    let longest = 0;
    for (const above of this.#graph.dependentsOf(node)) {
      longest = Math.max(longest, demand.chains.get(above) ?? 0);
    }
    demand.chains.set(node, longest + this.#durationIn(node));
    if (this.#ready.has(node)) this.#offer(demand, node);
  }

  /** It is done, one way or another. @returns demands of which nothing is left to build */
  settle(node: NodeId): DemandId[] {
    const done: DemandId[] = [];
    for (const id of this.#wantedBy.get(node) ?? []) {
      const demand = this.#demands.get(id);
      if (demand?.chains.delete(node) !== true) continue;
      demand.remainingS -= this.#durationIn(node);
      if (demand.chains.size > 0) continue;
      this.#demands.delete(id);
      done.push(id);
    }
    this.#forget(node);
    return done;
  }

  /** Expected seconds of work that is left of a demand; 0 for one that is done or unknown. */
  remainingOf(id: DemandId): number {
    return this.#demands.get(id)?.remainingS ?? 0;
  }

  /** Expected seconds of work that is left of this demand and of all that are served before it. */
  remainingUpTo(id: DemandId): number {
    const demand = this.#demands.get(id);
    if (demand === undefined) return 0;
    let seconds = 0;
    for (const other of this.#demands.values()) {
      if (other === demand || isBetter(other, demand)) seconds += other.remainingS;
    }
    return seconds;
  }

  /** Expected seconds from the start of this node to the end of the demand; 0 where it does not want it. */
  chainOf(id: DemandId, node: NodeId): number {
    return this.#demands.get(id)?.chains.get(node) ?? 0;
  }

  /** The longest chain, in expected seconds, that begins with a ready node; 0 where nothing of the demand is ready. */
  longestReadyOf(id: DemandId): number {
    const demand = this.#demands.get(id);
    if (demand === undefined) return 0;
    // It has holes, which map() would pass over and give back as undefined.
    const tops = Array.from(demand.ready, (_, kind) => this.#peek(demand, kind) ?? -1);
    return Math.max(0, ...tops.map((node) => demand.chains.get(node) ?? 0));
  }

  #forget(node: NodeId): void {
    this.#wantedBy.delete(node);
    this.#ready.delete(node);
    this.#durations.delete(node);
  }

  /** The same number each time, or what is taken away would not be what was added. */
  #durationIn(node: NodeId): number {
    const known = this.#durations.get(node);
    if (known !== undefined) return known;
    const duration = this.#durationOf(node);
    this.#durations.set(node, duration);
    return duration;
  }

  /** The kind among these of the ready node with the longest chain. */
  #longestOf(demand: OpenDemand, kinds: readonly number[]): number | undefined {
    let best: number | undefined;
    let longest = -1;
    for (const kind of kinds) {
      const node = this.#peek(demand, kind);
      const chain = node === undefined ? -1 : (demand.chains.get(node) ?? 0);
      if (chain > longest) [best, longest] = [kind, chain];
    }
    return best;
  }

  #offer(demand: OpenDemand, node: NodeId): void {
    const chain = demand.chains.get(node);
    if (chain === undefined) return;
    const kind = this.#kindOf(node);
    const heap = demand.ready[kind] ?? new NodeHeap();
    demand.ready[kind] = heap;
    heap.push(node, chain);
  }

  #peek(demand: OpenDemand, kind: number): NodeId | undefined {
    const heap = demand.ready[kind];
    if (heap === undefined) return undefined;
    for (let node = heap.peek(); node !== undefined; node = heap.peek()) {
      // It may be ready for others, who want it again after it was settled here.
      if (this.#ready.has(node) && demand.chains.has(node)) return node;
      heap.pop();
    }
    return undefined;
  }

  *#measureChains({ chains }: OpenDemand, members: ReadonlySet<NodeId>): Steps<void> {
    const inputsFirst = yield* this.#graph.closureInSteps(members, (id) => members.has(id));
    yield* this.#graph.linkDependents();
    const { start, cells } = this.#graph.dependentLinks;
    for (let i = inputsFirst.length - 1; i >= 0; i--) {
      yield;
      const id = inputsFirst[i] ?? 0;
      const head = start[id] ?? 0;
      const end = head + (cells[head] ?? 0);
      let longest = 0;
      for (let at = head + 1; at <= end; at++) longest = Math.max(longest, chains.get(cells[at] ?? 0) ?? 0);
      chains.set(id, longest + this.#durationIn(id));
    }
  }
}
