// The dependency graph of derivations: a million nodes and their edges in about 200 MB of typed arrays.

import type { DrvInput, DrvNode, DrvOutput, NodeId } from './drv-node.ts';
import { countBlastRadii } from './graph/blast-radii.ts';
import { cycleError, DrvGraphError } from './graph/drv-graph-error.ts';
import { DrvPathTable } from './graph/drv-path-table.ts';
import { CompactUints, growUint8 } from './graph/growable.ts';
import { ListInterner, StringInterner } from './graph/interner.ts';
import { GrowingLinks, type Links, neighboursOf, reverseLinks } from './graph/links.ts';
import { type OutputOwner, OutputTable } from './graph/output-table.ts';
import { Scratch } from './graph/scratch.ts';
import {
  countReachable,
  orderAfterLinked,
  type PostOrder,
  shortestPath,
  type Walk,
} from './graph/traversal.ts';
import type { DrvPath } from './ids.ts';
import type { NodeSet } from './node-set.ts';

export type { DrvInput, DrvNode, DrvOutput, NodeId } from './drv-node.ts';
export { DrvGraphError } from './graph/drv-graph-error.ts';
export type { Links } from './graph/links.ts';
export { NodeSet } from './node-set.ts';

const COMPLETE = 1;
const FIXED_OUTPUT = 2;
const PREFER_LOCAL = 4;
const NO_SUBSTITUTES = 8;

/**
 * Nodes are never taken out. All methods that take an id throw DrvGraphError DRV_GRAPH_UNKNOWN_NODE for one that
 * this graph did not give. A *placeholder* is an input that was named but not added yet: it has a path, no system, no
 * outputs, no inputs, and is neither fixed-output nor local.
 */
export class DrvGraph {
  readonly #paths = new DrvPathTable();
  readonly #inputs = new GrowingLinks();
  /** Lies at the same index as the input's cell: the list of its outputs used. */
  readonly #usedOutputs = new CompactUints();
  readonly #outputs = new OutputTable();
  #flags = new Uint8Array(0);
  readonly #systems = new CompactUints();
  readonly #features = new CompactUints();
  readonly #systemNames = new StringInterner();
  readonly #lists = new ListInterner();
  #dependents: Links | null = null;
  #edgeCount = 0;
  /** Spare ones; a walk takes one, so that a callback may start another walk. */
  readonly #scratches: Scratch[] = [];

  constructor() {
    // Placeholders show as '' and [] by these being number 0.
    this.#systemNames.idOf('');
    this.#lists.idOf([]);
  }

  /** Placeholders included. */
  get nodeCount(): number {
    return this.#paths.count;
  }

  get edgeCount(): number {
    return this.#edgeCount;
  }

  /**
   * Idempotent by path: what was added first stays. Inputs not seen yet become placeholders, completed when they are
   * added themselves. An input named twice is one edge with the outputs of both.
   */
  add(node: DrvNode): NodeId {
    const id = this.#paths.intern(node.path);
    this.#reserve();
    if (this.isComplete(id)) return id;
    this.#flags[id] =
      COMPLETE |
      (node.fixedOutput ? FIXED_OUTPUT : 0) |
      (node.preferLocalBuild ? PREFER_LOCAL : 0) |
      (node.allowSubstitutes ? 0 : NO_SUBSTITUTES);
    this.#systems.set(id, this.#systemNames.idOf(node.system));
    this.#features.set(id, this.#lists.idOf(node.requiredFeatures));
    this.#outputs.set(this.#owner(id), node.outputs);
    this.#link(id, node.inputs);
    this.#dependents = null;
    return id;
  }

  find(path: DrvPath): NodeId | undefined {
    return this.#paths.find(path);
  }

  /** False for a placeholder. */
  isComplete(id: NodeId): boolean {
    return (this.#flagsOf(id) & COMPLETE) !== 0;
  }

  pathOf(id: NodeId): DrvPath {
    return this.#paths.pathOf(this.#known(id));
  }

  /** Without hash and '.drv'. */
  nameOf(id: NodeId): string {
    return this.#paths.nameOf(this.#known(id));
  }

  systemOf(id: NodeId): string {
    return this.#systemNames.textOf(this.#systems.get(this.#known(id)));
  }

  isFixedOutput(id: NodeId): boolean {
    return (this.#flagsOf(id) & FIXED_OUTPUT) !== 0;
  }

  prefersLocalBuild(id: NodeId): boolean {
    return (this.#flagsOf(id) & PREFER_LOCAL) !== 0;
  }

  allowsSubstitutes(id: NodeId): boolean {
    return (this.#flagsOf(id) & NO_SUBSTITUTES) === 0;
  }

  requiredFeaturesOf(id: NodeId): readonly string[] {
    return this.#lists.listOf(this.#features.get(this.#known(id)));
  }

  /** In the order given to add(). */
  outputsOf(id: NodeId): readonly DrvOutput[] {
    return this.#outputs.of(this.#owner(this.#known(id)));
  }

  /** A view in the order given to add(); do not keep it across add(), do not write to it. */
  inputsOf(id: NodeId): Uint32Array {
    return neighboursOf(this.#inputs, this.#known(id));
  }

  /** Names of the outputs used of each input, in the order of inputsOf(id). */
  usedOutputsOf(id: NodeId): readonly (readonly string[])[] {
    const first = (this.#inputs.start[this.#known(id)] ?? 0) + 1;
    return Array.from(this.inputsOf(id), (_, i) => this.#lists.listOf(this.#usedOutputs.get(first + i)));
  }

  /** A view, ascending; do not keep it across add(). The first call after an add() costs O(nodes + edges). */
  dependentsOf(id: NodeId): Uint32Array {
    return neighboursOf(this.dependentLinks, this.#known(id));
  }

  /** Raw adjacency for loops over millions of edges; do not keep it across add(), do not write to it. */
  get inputLinks(): Links {
    return this.#inputs;
  }

  /** The same towards dependents. The first use after an add() costs O(nodes + edges). */
  get dependentLinks(): Links {
    this.#dependents ??= reverseLinks(this.#inputs, this.nodeCount);
    return this.#dependents;
  }

  /**
   * Everything the roots need, roots included, inputs before dependents; of placeholders only themselves.
   * @param follows inputs that it refuses are left out with what only they lead to; roots are not asked about.
   * @throws DrvGraphError DRV_GRAPH_CYCLE
   */
  closureOf(roots: Iterable<NodeId>, follows?: (id: NodeId) => boolean): Uint32Array {
    const from = Uint32Array.from(roots, (id) => this.#known(id));
    return this.#ordered(this.#walk(this.#inputs, (walk) => orderAfterLinked(walk, from, follows)));
  }

  /** How many distinct nodes of `within` (all where absent) depend on `id`, transitively, itself not counted. */
  blastRadius(id: NodeId, within?: NodeSet): number {
    this.#known(id);
    return this.#walk(this.dependentLinks, (walk) => countReachable(walk, id, within));
  }

  /**
   * The blast radii of many nodes, in the order of `ids`, far faster than one by one.
   * @throws DrvGraphError DRV_GRAPH_CYCLE
   */
  blastRadii(ids: Iterable<NodeId>, within?: NodeSet): Uint32Array {
    const sources = Array.from(ids, (id) => this.#known(id));
    const found = this.#walk(this.dependentLinks, (walk) => orderAfterLinked(walk, sources));
    return countBlastRadii({
      ids: sources,
      order: this.#ordered(found),
      nodeCount: this.nodeCount,
      links: this.dependentLinks,
      within,
    });
  }

  /** The shortest path of input edges from `from` down to the nearest goal, both ends included, or null. */
  shortestPathTo(from: NodeId, isGoal: (id: NodeId) => boolean): readonly NodeId[] | null {
    this.#known(from);
    return this.#walk(this.#inputs, (walk) => shortestPath(walk, from, isGoal));
  }

  #link(id: NodeId, inputs: readonly DrvInput[]): void {
    const targets = inputs.map((input) => this.#paths.intern(input.path));
    this.#reserve();
    const links = this.#inputs;
    links.open(id, inputs.length);
    this.#usedOutputs.reserve(links.length + inputs.length);
    const scratch = this.#takeScratch();
    scratch.begin(this.nodeCount);
    for (const [i, { outputs }] of inputs.entries()) {
      const target = targets[i] ?? 0;
      if (scratch.mark(target)) {
        this.#usedOutputs.set(links.append(id, target), this.#lists.idOf(outputs));
        this.#edgeCount++;
      } else {
        const cell = (links.start[id] ?? 0) + 1 + this.inputsOf(id).indexOf(target);
        const both = new Set([...this.#lists.listOf(this.#usedOutputs.get(cell)), ...outputs]);
        this.#usedOutputs.set(cell, this.#lists.idOf([...both]));
      }
    }
    this.#scratches.push(scratch);
  }

  /** Gives every column room for all nodes. */
  #reserve(): void {
    const count = this.nodeCount;
    if (this.#flags.length >= count) return;
    this.#flags = growUint8(this.#flags, count);
    this.#systems.reserve(count);
    this.#features.reserve(count);
    this.#inputs.reserveNodes(this.#flags.length);
    this.#outputs.reserve(this.#flags.length);
  }

  #owner(id: NodeId): OutputOwner {
    return { id, name: this.#paths.nameOf(id), storePrefix: this.#paths.storePrefix };
  }

  #flagsOf(id: NodeId): number {
    return this.#flags[this.#known(id)] ?? 0;
  }

  #known(id: NodeId): NodeId {
    if (id < this.nodeCount && id >= 0) return id;
    const range = `has ${this.nodeCount} nodes`;
    throw new DrvGraphError(
      'DRV_GRAPH_UNKNOWN_NODE',
      `No node ${id}: this graph ${range}. Ask with an id that add() or find() of this graph gave.`,
    );
  }

  #ordered(found: PostOrder): Uint32Array {
    if (found.kind === 'ordered') return found.order;
    throw cycleError(found.cycle.map((id) => this.pathOf(id)));
  }

  #takeScratch(): Scratch {
    return this.#scratches.pop() ?? new Scratch();
  }

  #walk<T>(links: Links, walk: (walk: Walk) => T): T {
    const scratch = this.#takeScratch();
    try {
      return walk({ links, nodeCount: this.nodeCount, scratch });
    } finally {
      this.#scratches.push(scratch);
    }
  }
}
