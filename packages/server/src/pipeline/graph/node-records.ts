// What the shared graph knows of each node beside the derivation itself: who uses it, when somebody last did, how its
// build ended, and whether it has a row. About ten bytes a node.
import type { BuildState } from '@eka-ci/core/build-state';
import { type DrvNodeTable, type NodeId, NodeSet } from '@eka-ci/core/drv-graph';
import { chooseEvicted, type EvictionTier, evictionTierOf, evictionTiers } from '@eka-ci/core/graph/eviction';
import { growUint8, growUint32 } from '@eka-ci/core/graph/growable';

/** By number, counted from 1: 0 is a node whose build nobody told of. */
const states = [
  'queued',
  'buildable',
  'building',
  'succeeded',
  'failed',
  'dependency-failed',
  'interrupted',
  'unsatisfiable',
] as const satisfies readonly BuildState[];

/** How the metrics call what is no state of a build. */
export const nodeStates = [...states, 'unknown', 'placeholder'] as const;
export type NodeState = (typeof nodeStates)[number];

export type EvictedNodes = Readonly<Record<EvictionTier, number>>;

export class NodeRecords {
  readonly stored = new NodeSet(0);
  readonly #table: DrvNodeTable;
  /** Leases that hold a node. */
  #pins = new Uint32Array(0);
  #pinned = 0;
  #lastUses = new Uint32Array(0);
  #uses = 0;
  #states = new Uint8Array(0);
  /** Seconds since 1970. */
  #since = new Uint32Array(0);

  constructor(table: DrvNodeTable) {
    this.#table = table;
  }

  /** How many nodes a lease holds. */
  get pinned(): number {
    return this.#pinned;
  }

  get sizeBytes(): number {
    const columns = [this.#pins, this.#lastUses, this.#states, this.#since];
    return columns.reduce((sum, { byteLength }) => sum + byteLength, this.stored.sizeBytes);
  }

  /** They are used now, as one. */
  touch(ids: Iterable<NodeId>): void {
    this.#reserve();
    const use = ++this.#uses;
    for (const id of ids) this.#lastUses[id] = use;
  }

  pin(ids: Iterable<NodeId>): void {
    this.#reserve();
    for (const id of ids) {
      const pins = this.#pins[id] ?? 0;
      if (pins === 0) this.#pinned++;
      this.#pins[id] = pins + 1;
    }
  }

  unpin(ids: Iterable<NodeId>): void {
    for (const id of ids) {
      const pins = (this.#pins[id] ?? 0) - 1;
      this.#pins[id] = pins;
      if (pins === 0) this.#pinned--;
    }
  }

  setState(id: NodeId, state: BuildState, atMs: number): void {
    this.#reserve();
    this.#states[id] = states.indexOf(state) + 1;
    this.#since[id] = Math.max(0, Math.floor(atMs / 1000));
  }

  countStates(): Readonly<Record<NodeState, number>> {
    const counts = { ...noStates, placeholder: this.#table.count };
    for (let id = 0; id < this.#table.bound; id++) {
      if (!this.#table.isComplete(id)) continue;
      counts.placeholder--;
      counts[this.#stateOf(id) ?? 'unknown']++;
    }
    return counts;
  }

  /**
   * Drops what nobody holds, in the order of its tiers, until the table has `target` nodes or no more can go.
   * @returns how many were dropped; null for none
   */
  evict(target: number, nowMs: number): EvictedNodes | null {
    this.#reserve();
    const table = this.#table;
    const tierOf = (id: NodeId): EvictionTier =>
      evictionTierOf(this.#stateOf(id), nowMs - (this.#since[id] ?? 0) * 1000);
    const free: NodeId[] = [];
    for (let id = 0; id < table.bound; id++) if (this.#pins[id] === 0 && table.isComplete(id)) free.push(id);
    if (free.length === 0) return null;
    const lastUseOf = (id: NodeId): number => this.#lastUses[id] ?? 0;
    const dropped = chooseEvicted(table, { ids: Uint32Array.from(free), tierOf, lastUseOf }, target);
    const evicted = Object.fromEntries(evictionTiers.map((tier) => [tier, 0])) as Record<
      EvictionTier,
      number
    >;
    for (const id of dropped) {
      evicted[tierOf(id)]++;
      this.#states[id] = 0;
      this.#lastUses[id] = 0;
      this.stored.delete(id);
    }
    table.drop(dropped);
    return evicted;
  }

  #stateOf(id: NodeId): BuildState | null {
    return states[(this.#states[id] ?? 0) - 1] ?? null;
  }

  #reserve(): void {
    const { bound } = this.#table;
    this.#pins = growUint32(this.#pins, bound);
    this.#lastUses = growUint32(this.#lastUses, bound);
    this.#states = growUint8(this.#states, bound);
    this.#since = growUint32(this.#since, bound);
  }
}

const noStates: Readonly<Record<NodeState, number>> = {
  queued: 0,
  buildable: 0,
  building: 0,
  succeeded: 0,
  failed: 0,
  'dependency-failed': 0,
  interrupted: 0,
  unsatisfiable: 0,
  unknown: 0,
  placeholder: 0,
};
