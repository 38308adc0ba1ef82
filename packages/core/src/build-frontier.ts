// What one run can build now: settling a node touches its dependents only, nothing ever scans the graph.
import { type DrvGraph, DrvGraphError, type NodeId } from './drv-graph.ts';
import { growFloat64, growUint8, growUint32 } from './graph/growable.ts';
import { type Steps, takeAll } from './steps.ts';

export type FrontierState = 'outside' | 'waiting' | 'ready' | 'succeeded' | 'failed' | 'dependency-failed';

/** What adding nodes to a run made possible, and what it settled at once. */
export interface FrontierExtension {
  /** Added nodes that wait for nothing. */
  readonly ready: NodeId[];
  /** Added nodes that need something that failed earlier, and all waiting nodes above them; now settled, each once. */
  readonly dependencyFailed: NodeId[];
}

export interface FrontierOptions {
  /** Expected duration of one build, in any unit; 1 a node where absent. Asked when a node or one above it is added. */
  readonly durationOf?: (id: NodeId) => number;
}

const OUTSIDE = 0;
const WAITING = 1;
const READY = 2;
const SUCCEEDED = 3;
const FAILED = 4;
const DEPENDENCY_FAILED = 5;
/** Only while nodes are being added: outside for all others. */
const ENTERING = 6;
const STATES: readonly FrontierState[] = [
  'outside',
  'waiting',
  'ready',
  'succeeded',
  'failed',
  'dependency-failed',
];

/**
 * The ready set of one run over a subset of the graph. An input outside of the subset counts as done.
 * A node becomes ready once and is settled once. What was reported ready or is settled stays so when one of its inputs
 * is added later: the input counted as done then, so the node neither waits for it nor fails with it.
 */
export class BuildFrontier {
  readonly #graph: DrvGraph;
  readonly #durationOf: (id: NodeId) => number;
  #states = new Uint8Array(0);
  /** Of a waiting node how many wanted inputs are unsettled; of a dependency-failed one its culprit. */
  #tallies = new Uint32Array(0);
  /** Duration of the longest chain from the node up over waiting ones, the node included. */
  #chains = new Float64Array(0);
  #remaining = 0;

  /**
   * @param wanted nodes that must be built (not yet valid); inputs outside of it count as done.
   * @throws DrvGraphError as extend() does
   */
  constructor(graph: DrvGraph, wanted: Iterable<NodeId>, options: FrontierOptions = {}) {
    this.#graph = graph;
    this.#durationOf = options.durationOf ?? (() => 1);
    this.extend(wanted);
  }

  /** Wanted nodes that are not settled. */
  get remaining(): number {
    return this.#remaining;
  }

  /**
   * Adds nodes to the run, in O(them, their edges, and the waiting nodes below them). Nodes that are in it already
   * are passed over, settled ones too: a settled node is not built again in one run.
   * @throws DrvGraphError DRV_GRAPH_INCOMPLETE for a placeholder, DRV_GRAPH_CYCLE for nodes that wait for each other;
   * nothing is added then.
   */
  extend(more: Iterable<NodeId>): FrontierExtension {
    return takeAll(this.extendInSteps(more));
  }

  /** The same. Between its steps it may be asked, and neither it nor the graph may be changed. */
  *extendInSteps(more: Iterable<NodeId>): Steps<FrontierExtension> {
    const entered = yield* this.#enter(more);
    const order = yield* this.#orderOfUnsettledBelow(entered);
    yield* this.#graph.linkDependents();
    yield* this.#countOnOldDependents(entered);
    const culprits = yield* this.#countInputs(entered);

    this.#remaining += entered.length;
    for (const id of entered) {
      this.#states[id] = this.#tallies[id] === 0 && !culprits.has(id) ? READY : WAITING;
    }
    const dependencyFailed: NodeId[] = [];
    for (const [id, culprit] of culprits) {
      if (this.#states[id] !== WAITING) continue;
      dependencyFailed.push(id);
      this.#failDependency(id, culprit);
      for (const above of this.#failAbove(id, culprit)) dependencyFailed.push(above);
    }
    yield* this.#measureChains(order);
    const ready = Array.from(entered).filter((id) => this.#states[id] === READY);
    return { ready, dependencyFailed };
  }

  /** All that is ready and unsettled now, ascending; scans the run, so ask once, at its start. */
  initiallyReady(): NodeId[] {
    const ready: NodeId[] = [];
    for (let id = 0; id < this.#states.length; id++) if (this.#states[id] === READY) ready.push(id);
    return ready;
  }

  /**
   * Marks one node done; returns the dependents that became ready by it. O(dependents of id). A waiting node may be
   * settled too (it turned out to be substitutable).
   * @throws DrvGraphError DRV_GRAPH_NOT_UNSETTLED on a node that is settled already or not wanted
   */
  settleSucceeded(id: NodeId): NodeId[] {
    this.#settle(id, SUCCEEDED);
    const { start, cells } = this.#graph.dependentLinks;
    const states = this.#states;
    const tallies = this.#tallies;
    const ready: NodeId[] = [];
    const head = start[id] ?? 0;
    const end = head + (cells[head] ?? 0);
    for (let at = head + 1; at <= end; at++) {
      const dependent = cells[at] ?? 0;
      if (states[dependent] !== WAITING) continue;
      const left = (tallies[dependent] ?? 0) - 1;
      tallies[dependent] = left;
      if (left > 0) continue;
      states[dependent] = READY;
      ready.push(dependent);
    }
    return ready;
  }

  /**
   * Marks it failed; returns every node that waits for it, directly or over others, now settled as dependency-failed,
   * each once.
   * @throws DrvGraphError DRV_GRAPH_NOT_UNSETTLED on a node that is settled already or not wanted
   */
  settleFailed(id: NodeId): NodeId[] {
    this.#settle(id, FAILED);
    return this.#failAbove(id, id);
  }

  /**
   * Forgets a settled node: it is outside again, and may be added once more.
   * Nothing that waits may need it, which settling has seen to. Does nothing for one that is not settled.
   */
  release(id: NodeId): void {
    const state = this.#states[id] ?? OUTSIDE;
    if (state === SUCCEEDED || state === FAILED || state === DEPENDENCY_FAILED) this.#states[id] = OUTSIDE;
  }

  /** These were ready in another run of the same nodes: what they need and was added later counts as done for them. */
  keepReady(ids: Iterable<NodeId>): void {
    for (const id of ids) if (this.#states[id] === WAITING) this.#states[id] = READY;
  }

  /** Counts anew what each of these waits for. @returns those that wait for nothing and were not known to: none, ever */
  recount(nodes: Iterable<NodeId>): NodeId[] {
    const { start, cells } = this.#graph.inputLinks;
    const found: NodeId[] = [];
    for (const id of nodes) {
      if (this.#states[id] !== WAITING) continue;
      let unsettled = 0;
      const head = start[id] ?? 0;
      const end = head + (cells[head] ?? 0);
      for (let at = head + 1; at <= end; at++) {
        const state = this.#states[cells[at] ?? 0];
        if (state === WAITING || state === READY) unsettled++;
      }
      this.#tallies[id] = unsettled;
      if (unsettled > 0) continue;
      this.#states[id] = READY;
      found.push(id);
    }
    return found;
  }

  stateOf(id: NodeId): FrontierState {
    return STATES[this.#states[id] ?? OUTSIDE] ?? 'outside';
  }

  /** The failed node that made this one dependency-failed: the first one to fail of those it needs; else null. */
  culpritOf(id: NodeId): NodeId | null {
    return this.#states[id] === DEPENDENCY_FAILED ? (this.#tallies[id] ?? 0) : null;
  }

  /**
   * Duration (in nodes without durationOf) of the longest chain from `id` up over nodes that wait for it, `id` included: what the
   * run cannot take less than from its start on. As of the last extend() that touched it; 0 where `id` is settled or outside.
   */
  criticalPathLength(id: NodeId): number {
    const state = this.#states[id];
    return state === WAITING || state === READY ? (this.#chains[id] ?? 0) : 0;
  }

  *#enter(more: Iterable<NodeId>): Steps<Uint32Array> {
    const asked = Uint32Array.from(more);
    for (const id of asked) {
      yield;
      if (this.#graph.isComplete(id)) continue;
      throw new DrvGraphError(
        'DRV_GRAPH_INCOMPLETE',
        `${this.#graph.pathOf(id)} is known by name only: add the derivation and what it needs before building it.`,
      );
    }
    const { nodeCount } = this.#graph;
    this.#states = growUint8(this.#states, nodeCount);
    this.#tallies = growUint32(this.#tallies, nodeCount);
    this.#chains = growFloat64(this.#chains, nodeCount);
    let length = 0;
    for (const id of asked) {
      if (this.#states[id] !== OUTSIDE) continue;
      this.#states[id] = ENTERING;
      asked[length++] = id;
    }
    return asked.subarray(0, length);
  }

  /** Inputs first. Proves that they do not wait for each other, which would never end. */
  *#orderOfUnsettledBelow(entered: Uint32Array): Steps<Uint32Array> {
    const states = this.#states;
    try {
      return yield* this.#graph.closureInSteps(
        entered,
        (id) => states[id] === ENTERING || states[id] === WAITING || states[id] === READY,
      );
    } catch (error) {
      for (const id of entered) states[id] = OUTSIDE;
      throw error;
    }
  }

  *#countOnOldDependents(entered: Uint32Array): Steps<void> {
    const { start, cells } = this.#graph.dependentLinks;
    for (const id of entered) {
      yield;
      const head = start[id] ?? 0;
      const end = head + (cells[head] ?? 0);
      for (let at = head + 1; at <= end; at++) {
        const dependent = cells[at] ?? 0;
        if (this.#states[dependent] === WAITING)
          this.#tallies[dependent] = (this.#tallies[dependent] ?? 0) + 1;
      }
    }
  }

  /** Returns the entered nodes that need a failed one, with the culprit. */
  *#countInputs(entered: Uint32Array): Steps<Map<NodeId, NodeId>> {
    const { start, cells } = this.#graph.inputLinks;
    const culprits = new Map<NodeId, NodeId>();
    for (const id of entered) {
      yield;
      let unsettled = 0;
      const head = start[id] ?? 0;
      const end = head + (cells[head] ?? 0);
      for (let at = head + 1; at <= end; at++) {
        const input = cells[at] ?? 0;
        const state = this.#states[input] ?? OUTSIDE;
        if (state === ENTERING || state === WAITING || state === READY) unsettled++;
        else if (state === FAILED) culprits.set(id, input);
        else if (state === DEPENDENCY_FAILED && !culprits.has(id))
          culprits.set(id, this.#tallies[input] ?? 0);
      }
      this.#tallies[id] = unsettled;
    }
    return culprits;
  }

  #settle(id: NodeId, state: number): void {
    const before = this.#states[id];
    if (before !== WAITING && before !== READY) {
      throw new DrvGraphError(
        'DRV_GRAPH_NOT_UNSETTLED',
        `${this.#graph.pathOf(id)} is ${this.stateOf(id)} in this run: settle each wanted derivation once.`,
      );
    }
    this.#states[id] = state;
    this.#remaining--;
  }

  #failDependency(id: NodeId, culprit: NodeId): void {
    this.#settle(id, DEPENDENCY_FAILED);
    this.#tallies[id] = culprit;
  }

  #failAbove(id: NodeId, culprit: NodeId): NodeId[] {
    const { start, cells } = this.#graph.dependentLinks;
    const failed: NodeId[] = [];
    for (let next: NodeId | undefined = id, read = 0; next !== undefined; next = failed[read++]) {
      const head = start[next] ?? 0;
      const end = head + (cells[head] ?? 0);
      for (let at = head + 1; at <= end; at++) {
        const dependent = cells[at] ?? 0;
        if (this.#states[dependent] !== WAITING) continue;
        this.#failDependency(dependent, culprit);
        failed.push(dependent);
      }
    }
    return failed;
  }

  /** @param order inputs first; dependents that are not in it have their chains already. */
  *#measureChains(order: Uint32Array): Steps<void> {
    const { start, cells } = this.#graph.dependentLinks;
    for (let i = order.length - 1; i >= 0; i--) {
      yield;
      const id = order[i] ?? 0;
      let longest = 0;
      const head = start[id] ?? 0;
      const end = head + (cells[head] ?? 0);
      for (let at = head + 1; at <= end; at++) {
        const dependent = cells[at] ?? 0;
        if (this.#states[dependent] === WAITING) longest = Math.max(longest, this.#chains[dependent] ?? 0);
      }
      this.#chains[id] = longest + this.#durationOf(id);
    }
  }
}
