// What all open demands want and is not settled: one graph of it, its ready set and its order. Memory only, no clock.
import { BuildFrontier } from '@eka-ci/core/build-frontier';
import { BuildOrder, type DemandId } from '@eka-ci/core/build-order';
import { DrvGraph, DrvGraphError, type NodeId } from '@eka-ci/core/drv-graph';
import { drvNodeOf } from '@eka-ci/core/graph/copy-node';
import { breathe } from '../../lib/breathe.ts';
import type { OpenDemand } from './open-demand.ts';
import { NeedKinds, needsOf } from './placement.ts';

interface Entry {
  readonly demand: OpenDemand;
  readonly arrivedAtS: number;
}

/** A graph as large as a package set is not copied in one breath. */
const copiedAtOnce = 2000;

export class WantedBuilds {
  readonly kinds = new NeedKinds();
  #graph = new DrvGraph();
  #frontier = new BuildFrontier(this.#graph, []);
  #order = this.#orderOf(this.#graph);
  /** Expected seconds. */
  #durations = new Map<NodeId, number>();
  #entries = new Map<DemandId, Entry>();
  readonly #ids = new Map<OpenDemand, DemandId>();
  /** Who was aborted, and waits for the end of what runs for nobody else. */
  #leaving = new Map<NodeId, Set<OpenDemand>>();
  /** In the order in which they came. */
  #unsettled = new Set<NodeId>();
  /** Of those, the ones whose inputs were seen to be there. */
  #buildable = new Set<NodeId>();

  get graph(): DrvGraph {
    return this.#graph;
  }

  get frontier(): BuildFrontier {
    return this.#frontier;
  }

  get order(): BuildOrder {
    return this.#order;
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
    return this.kinds.kindOf(needsOf(this.#graph, node));
  }

  /** Into this graph, inputs first. @returns their ids here @throws DrvGraphError DRV_GRAPH_CYCLE, _INCOMPLETE */
  async copy({ asked: { graph, durationOf }, wanted }: OpenDemand): Promise<NodeId[]> {
    const ids: NodeId[] = [];
    for (const node of graph.closureOf(wanted, (id) => wanted.has(id))) {
      if (!graph.isComplete(node)) {
        throw new DrvGraphError(
          'DRV_GRAPH_INCOMPLETE',
          `${graph.pathOf(node)} is known by name only: add the derivation before it is to be built.`,
        );
      }
      const id = this.#graph.add(drvNodeOf(graph, node));
      if (!this.#durations.has(id)) this.#durations.set(id, durationOf?.(node) ?? 1);
      ids.push(id);
      if (ids.length % copiedAtOnce === 0) await breathe();
    }
    return ids;
  }

  /** @returns those that wait for nothing @throws DrvGraphError DRV_GRAPH_CYCLE; nothing is added then */
  extend(fresh: readonly NodeId[]): NodeId[] {
    const { ready } = this.#frontier.extend(fresh);
    for (const node of fresh) this.#unsettled.add(node);
    return ready;
  }

  /** From here on the demand has its place in the order. `ids` that are settled by now are not among what it wants. */
  join(demand: OpenDemand, ids: Iterable<NodeId>): void {
    const own = [...ids].filter((id) => this.#unsettled.has(id));
    // What these wait for is wanted with them, whoever brought it.
    const below = this.#graph.closureOf(own, (id) => this.#unsettled.has(id));
    const arrivedAtS = demand.asked.arrivedAtMs / 1000;
    const id = this.#order.add({ class: demand.asked.class, arrivedAtS, wanted: below });
    for (const node of own) demand.left.add(node);
    this.#entries.set(id, { demand, arrivedAtS });
    this.#ids.set(demand, id);
  }

  /** False where it was seen to be buildable before. */
  markBuildable(node: NodeId): boolean {
    this.#order.markReady(node);
    if (this.#buildable.has(node)) return false;
    this.#buildable.add(node);
    return true;
  }

  /** Those who wait for its outcome. */
  waitingFor(node: NodeId): OpenDemand[] {
    const demands = this.#order.demandsOf(node).flatMap((id) => this.#entries.get(id)?.demand ?? []);
    return [...demands, ...(this.#leaving.get(node) ?? [])].filter(({ left }) => left.has(node));
  }

  /** The frontier has settled it. @returns those who waited for it */
  settle(node: NodeId): OpenDemand[] {
    const waiting = this.waitingFor(node);
    for (const { left } of waiting) left.delete(node);
    this.#order.settle(node);
    this.#leaving.delete(node);
    this.#unsettled.delete(node);
    this.#buildable.delete(node);
    this.#durations.delete(node);
    this.#frontier.release(node);
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
   * The demand has no place any more. @returns what nobody wants now: to be ended; the demand waits for its own of them
   */
  leave(demand: OpenDemand): NodeId[] {
    const id = this.#ids.get(demand);
    if (id === undefined) return [];
    this.#handOver(id);
    const unwanted = this.#order.remove(id).filter((node) => this.#unsettled.has(node));
    this.#entries.delete(id);
    this.#ids.delete(demand);
    const own = new Set(unwanted.filter((node) => demand.left.has(node)));
    demand.left.clear();
    for (const node of own) {
      demand.left.add(node);
      const leaving = this.#leaving.get(node) ?? new Set();
      this.#leaving.set(node, leaving.add(demand));
    }
    return unwanted;
  }

  /** Seconds; `slots` are those that its builds could run on. */
  expectedLeftS(
    demand: OpenDemand,
    { running, slots }: { running: Iterable<NodeId>; slots: number },
  ): number {
    const id = this.#ids.get(demand);
    if (id === undefined) return 0;
    const order = this.#order;
    const chains = Array.from(running, (node) => order.chainOf(id, node));
    return Math.max(order.longestReadyOf(id), ...chains, order.remainingUpTo(id) / Math.max(1, slots));
  }

  /** The same, in a graph that holds nothing else. @returns where each unsettled node is now */
  compact(): ReadonlyMap<NodeId, NodeId> {
    const [old, oldOrder, oldFrontier] = [this.#graph, this.#order, this.#frontier];
    const moved = new Map<NodeId, NodeId>();
    this.#graph = new DrvGraph();
    for (const node of this.#unsettled) moved.set(node, this.#graph.add(drvNodeOf(old, node)));
    const move = (nodes: Iterable<NodeId>): NodeId[] => [...nodes].flatMap((node) => moved.get(node) ?? []);
    this.#frontier = new BuildFrontier(this.#graph, moved.values());
    // What was found ready waits for nothing that was wanted later, nor fails with it.
    const ready = [...this.#unsettled].filter((node) => oldFrontier.stateOf(node) === 'ready');
    this.#frontier.keepReady(move(ready));
    this.#durations = new Map(
      [...this.#durations].flatMap(([node, s]) => move([node]).map((id) => [id, s] as const)),
    );
    this.#order = this.#orderOf(this.#graph);
    this.#unsettled = new Set(move(this.#unsettled));
    this.#buildable = new Set(move(this.#buildable));
    this.#leaving = new Map(
      [...this.#leaving].flatMap(([node, of]) => move([node]).map((id) => [id, of] as const)),
    );
    const entries = [...this.#entries];
    const waiting = [...this.#leaving.values()].flatMap((of) => [...of]);
    for (const { left } of new Set([...waiting, ...this.#ids.keys()])) {
      const moved = move(left);
      left.clear();
      for (const node of moved) left.add(node);
    }
    this.#entries = new Map();
    for (const [id, { demand, arrivedAtS }] of entries) {
      const wanted = move(oldOrder.nodesOf(id));
      const newId = this.#order.add({ class: demand.asked.class, arrivedAtS, wanted });
      this.#entries.set(newId, { demand, arrivedAtS });
      this.#ids.set(demand, newId);
    }
    for (const node of move(oldOrder.ready())) this.#order.markReady(node);
    return moved;
  }

  #orderOf(graph: DrvGraph): BuildOrder {
    return new BuildOrder(graph, {
      durationOf: (node) => this.#durations.get(node) ?? 1,
      kindOf: (node) => this.kindOf(node),
    });
  }

  /** What it alone wants, and others have come to wait for, is theirs as well. Dependents come first. */
  #handOver(id: DemandId): void {
    const order = this.#order;
    const all = new Set(order.nodesOf(id));
    // Of what has joined later the order of joining says nothing.
    const inputsFirst = this.#graph.closureOf(all, (node) => all.has(node));
    for (const node of inputsFirst.toReversed()) {
      if (order.demandsOf(node).length > 1) continue;
      for (const above of this.#graph.dependentsOf(node)) {
        if (this.#frontier.stateOf(above) !== 'waiting') continue;
        for (const other of order.demandsOf(above)) if (other !== id) order.join(other, node);
      }
    }
  }
}
