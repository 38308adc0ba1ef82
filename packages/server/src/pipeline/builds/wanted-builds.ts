// What all open demands want and is not settled: one graph of it, its ready set and its order. Memory only, no clock.
import { BuildFrontier } from '@eka-ci/core/build-frontier';
import { BuildOrder, type DemandId } from '@eka-ci/core/build-order';
import { DrvGraph, DrvGraphError, type NodeId } from '@eka-ci/core/drv-graph';
import { type Breath, eachBreathing, takeBreathing } from '../../lib/breathe.ts';
import type { OpenDemand } from './open-demand.ts';
import { NeedKinds, needsOf } from './placement.ts';

interface Entry {
  readonly demand: OpenDemand;
  readonly arrivedAtS: number;
}

/** In a graph that holds nothing else. */
export interface CompactedBuilds {
  readonly wanted: WantedBuilds;
  /** Where each unsettled node is there. */
  readonly moved: ReadonlyMap<NodeId, NodeId>;
  /** What of each demand is left, there. */
  readonly left: ReadonlyMap<OpenDemand, Set<NodeId>>;
}

/**
 * What a package set wants at once is not taken up, and not let go of, in one breath: what says that it takes several
 * must be through before the next is begun. Whoever looks meanwhile sees a part of it.
 */
export class WantedBuilds {
  readonly kinds: NeedKinds;
  readonly graph = new DrvGraph();
  readonly frontier = new BuildFrontier(this.graph, []);
  readonly order = new BuildOrder(this.graph, {
    durationOf: (node) => this.#durations.get(node) ?? 1,
    kindOf: (node) => this.kindOf(node),
  });
  readonly #breath: Breath;
  /** Expected seconds. */
  readonly #durations = new Map<NodeId, number>();
  readonly #entries = new Map<DemandId, Entry>();
  readonly #ids = new Map<OpenDemand, DemandId>();
  /** Who was aborted, and waits for the end of what runs for nobody else. */
  readonly #leaving = new Map<NodeId, readonly OpenDemand[]>();
  /** In the order in which they came. */
  readonly #unsettled = new Set<NodeId>();
  /** Of those, the ones whose inputs were seen to be there. */
  readonly #buildable = new Set<NodeId>();

  constructor(breath: Breath, kinds = new NeedKinds()) {
    this.#breath = breath;
    this.kinds = kinds;
  }

  get unsettled(): ReadonlySet<NodeId> {
    return this.#unsettled;
  }

  get demands(): Iterable<OpenDemand> {
    return this.#ids.keys();
  }

  isUnsettled(node: NodeId): boolean {
    return this.#unsettled.has(node);
  }

  kindOf(node: NodeId): number {
    return this.kinds.kindOf(needsOf(this.graph, node));
  }

  /**
   * Into this graph, inputs first, in several breaths. @returns their ids here
   * @throws DrvGraphError DRV_GRAPH_CYCLE, _INCOMPLETE
   */
  async copy({ asked: { graph, durationOf }, wanted }: OpenDemand): Promise<NodeId[]> {
    const ids: NodeId[] = [];
    const add = this.graph.adderFrom(graph);
    const inputsFirst = graph.closureInSteps(wanted, (id) => wanted.has(id));
    await eachBreathing(await takeBreathing(inputsFirst, this.#breath), this.#breath, (node) => {
      if (!graph.isComplete(node)) {
        throw new DrvGraphError(
          'DRV_GRAPH_INCOMPLETE',
          `${graph.pathOf(node)} is known by name only: add the derivation before it is to be built.`,
        );
      }
      const id = add(node);
      if (!this.#durations.has(id)) this.#durations.set(id, durationOf?.(node) ?? 1);
      ids.push(id);
    });
    return ids;
  }

  /** In several breaths. @returns those that wait for nothing @throws DrvGraphError DRV_GRAPH_CYCLE; nothing is added then */
  async extend(fresh: readonly NodeId[]): Promise<NodeId[]> {
    const { ready } = await takeBreathing(this.frontier.extendInSteps(fresh), this.#breath);
    await eachBreathing(fresh, this.#breath, (node) => this.#unsettled.add(node));
    return ready;
  }

  /**
   * From the end on, some breaths later, the demand has its place in the order. `ids` that are settled by now are not
   * among what it wants.
   */
  async join(demand: OpenDemand, ids: Iterable<NodeId>): Promise<void> {
    await eachBreathing(ids, this.#breath, (id) => {
      if (this.#unsettled.has(id)) demand.left.add(id);
    });
    // What these wait for is wanted with them, whoever brought it.
    const below = this.graph.closureInSteps(demand.left, (id) => this.#unsettled.has(id));
    await this.#enter(demand, await takeBreathing(below, this.#breath));
  }

  /** False where it was seen to be buildable before. */
  markBuildable(node: NodeId): boolean {
    this.order.markReady(node);
    if (this.#buildable.has(node)) return false;
    this.#buildable.add(node);
    return true;
  }

  /** Those who wait for its outcome. */
  waitingFor(node: NodeId): OpenDemand[] {
    const demands = this.order.demandsOf(node).flatMap((id) => this.#entries.get(id)?.demand ?? []);
    return [...demands, ...(this.#leaving.get(node) ?? [])].filter(({ left }) => left.has(node));
  }

  /** The frontier has settled it. @returns those who waited for it */
  settle(node: NodeId): OpenDemand[] {
    const waiting = this.waitingFor(node);
    for (const { left } of waiting) left.delete(node);
    this.order.settle(node);
    this.#leaving.delete(node);
    this.#unsettled.delete(node);
    this.#buildable.delete(node);
    this.#durations.delete(node);
    this.frontier.release(node);
    return waiting;
  }

  /** It goes on for others: who was aborted need not wait for it. @returns those who waited so */
  keepForOthers(node: NodeId): OpenDemand[] {
    const left = [...(this.#leaving.get(node) ?? [])];
    this.#leaving.delete(node);
    for (const demand of left) demand.left.delete(node);
    return left;
  }

  /**
   * From the end on, some breaths later, the demand has no place any more.
   * @returns what nobody wants now: to be ended; the demand waits for its own of them
   */
  async leave(demand: OpenDemand): Promise<NodeId[]> {
    const id = this.#ids.get(demand);
    if (id === undefined) return [];
    await this.#handOver(id);
    const removed = await takeBreathing(this.order.removeInSteps(id), this.#breath);
    const unwanted: NodeId[] = [];
    const own = new Set<NodeId>();
    const alone = [demand];
    await eachBreathing(removed, this.#breath, (node) => {
      if (!this.#unsettled.has(node)) return;
      unwanted.push(node);
      if (!demand.left.has(node)) return;
      own.add(node);
      const others = this.#leaving.get(node);
      this.#leaving.set(node, others === undefined ? alone : [...others, demand]);
    });
    this.#entries.delete(id);
    this.#ids.delete(demand);
    demand.left = own;
    return unwanted;
  }

  /** Seconds; `slots` are those that its builds could run on. */
  expectedLeftS(
    demand: OpenDemand,
    { running, slots }: { running: Iterable<NodeId>; slots: number },
  ): number {
    const id = this.#ids.get(demand);
    if (id === undefined) return 0;
    const { order } = this;
    const chains = Array.from(running, (node) => order.chainOf(id, node));
    return Math.max(order.longestReadyOf(id), ...chains, order.remainingUpTo(id) / Math.max(1, slots));
  }

  /** In several breaths. Until it is put in its place, this one is as it was. */
  async compacted(): Promise<CompactedBuilds> {
    const breath = this.#breath;
    const wanted = new WantedBuilds(breath, this.kinds);
    const moved = new Map<NodeId, NodeId>();
    const add = wanted.graph.adderFrom(this.graph);
    await eachBreathing(this.#unsettled, breath, (node) => {
      const to = add(node);
      moved.set(node, to);
      wanted.#durations.set(to, this.#durations.get(node) ?? 1);
      if (this.#buildable.has(node)) wanted.#buildable.add(to);
    });
    await wanted.extend([...moved.values()]);
    const movedOf = async (nodes: Iterable<NodeId>): Promise<NodeId[]> => {
      const there: NodeId[] = [];
      await eachBreathing(nodes, breath, (node) => {
        const to = moved.get(node);
        if (to !== undefined) there.push(to);
      });
      return there;
    };
    // What was found ready waits for nothing that was wanted later, nor fails with it.
    await eachBreathing(moved, breath, ([node, to]) => {
      if (this.frontier.stateOf(node) === 'ready') wanted.frontier.keepReady([to]);
    });
    for (const [demand, id] of this.#ids) await wanted.#enter(demand, await movedOf(this.order.nodesOf(id)));
    await eachBreathing(await movedOf(this.order.ready()), breath, (node) => wanted.order.markReady(node));
    const left = new Map<OpenDemand, Set<NodeId>>();
    for (const [node, of] of this.#leaving) {
      const to = moved.get(node);
      if (to !== undefined) wanted.#leaving.set(to, of);
      for (const demand of of) left.set(demand, new Set());
    }
    for (const demand of [...left.keys(), ...this.#ids.keys()]) {
      left.set(demand, new Set(await movedOf(demand.left)));
    }
    return { wanted, moved, left };
  }

  async #enter(demand: OpenDemand, wanted: Iterable<NodeId>): Promise<void> {
    const arrivedAtS = demand.asked.arrivedAtMs / 1000;
    const adding = this.order.addInSteps({ class: demand.asked.class, arrivedAtS, wanted });
    const id = await takeBreathing(adding, this.#breath);
    this.#entries.set(id, { demand, arrivedAtS });
    this.#ids.set(demand, id);
  }

  /** What it alone wants, and others have come to wait for, is theirs as well. Dependents come first. */
  async #handOver(id: DemandId): Promise<void> {
    if (this.#ids.size === 1) return;
    const { order, graph } = this;
    const all = new Set(order.nodesOf(id));
    // Of what has joined later the order of joining says nothing.
    const inputsFirst = await takeBreathing(
      graph.closureInSteps(all, (node) => all.has(node)),
      this.#breath,
    );
    await takeBreathing(graph.linkDependents(), this.#breath);
    await eachBreathing(inputsFirst.toReversed(), this.#breath, (node) => {
      if (order.demandsOf(node).length > 1) return;
      for (const above of graph.dependentsOf(node)) {
        if (this.frontier.stateOf(above) !== 'waiting') continue;
        for (const other of order.demandsOf(above)) if (other !== id) order.join(other, node);
      }
    });
  }
}
