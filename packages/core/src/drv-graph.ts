// The dependency graph of derivations: a million nodes and their edges in about 200 MB of typed arrays.

import type { DrvNode, DrvOutput, NodeId } from './drv-node.ts';
import { countBlastRadii } from './graph/blast-radii.ts';
import { cycleError, DrvGraphError } from './graph/drv-graph-error.ts';
import { DrvNodeTable } from './graph/drv-node-table.ts';
import { type Links, neighboursOf, reverseLinks } from './graph/links.ts';
import {
  countReachable,
  orderAfterLinked,
  type PostOrder,
  shortestPath,
  type Walk,
} from './graph/traversal.ts';
import type { DrvPath } from './ids.ts';
import { NodeSet } from './node-set.ts';
import { type Steps, takeAll } from './steps.ts';

export type { DrvNode, DrvOutput, NodeId } from './drv-node.ts';
export { DrvGraphError } from './graph/drv-graph-error.ts';
export { DrvNodeTable } from './graph/drv-node-table.ts';
export type { Links } from './graph/links.ts';
export { NodeSet } from './node-set.ts';

/** What a graph over a part of its table holds. */
interface Part {
  readonly members: NodeSet;
  edgeCount: number;
}

/**
 * A graph of its own, or a *part* of a table that it shares with others: then it holds what was included and knows of
 * nothing else, so that it answers as a graph of its own would.
 *
 * Nodes are never taken out. All methods that take an id throw DrvGraphError DRV_GRAPH_UNKNOWN_NODE for one that
 * this graph did not give. A *placeholder* is an input that was named but not added yet: it has a path, no system, no
 * outputs, no inputs, and is neither fixed-output nor local. A part has none.
 */
export class DrvGraph {
  readonly #table: DrvNodeTable;
  /** Null: all of the table. */
  #part: Part | null = null;
  /** And the version of the table that they are of; a part's are good for any. */
  #dependents: { readonly links: Links; readonly version: number } | null = null;

  constructor(table: DrvNodeTable = new DrvNodeTable()) {
    this.#table = table;
  }

  /** Holds nothing yet. What it will hold must not be dropped from the table before it is closed. */
  static partOf(table: DrvNodeTable): DrvGraph {
    const graph = new DrvGraph(table);
    graph.#part = { members: new NodeSet(0), edgeCount: 0 };
    return graph;
  }

  /** All ids are below it. In a graph of its own it is how many nodes there are, placeholders included. */
  get nodeCount(): number {
    return this.#table.bound;
  }

  get edgeCount(): number {
    return this.#part?.edgeCount ?? this.#table.edgeCount;
  }

  /** Beside the table: what this graph itself takes. */
  get sizeBytes(): number {
    const { start, cells } = this.#dependents?.links ?? { start: null, cells: null };
    return (start?.byteLength ?? 0) + (cells?.byteLength ?? 0) + (this.#part?.members.sizeBytes ?? 0);
  }

  /**
   * Idempotent by path: what was added first stays. Inputs not seen yet become placeholders, completed when they are
   * added themselves. An input named twice is one edge with the outputs of both.
   * @throws DrvGraphError DRV_GRAPH_INCOMPLETE for a part that does not hold the inputs
   */
  add(node: DrvNode): NodeId {
    const id = this.#table.add(node);
    if (this.#part !== null) this.include([id]);
    return id;
  }

  /**
   * A function that adds nodes of another graph, each as add() does what it is, and several times as fast where they
   * need each other. It throws as add() does. For what is copied now: it remembers ids of the other graph.
   */
  adderFrom(other: DrvGraph): (id: NodeId) => NodeId {
    const add = this.#table.adderFrom(other.#table);
    return (from) => {
      const id = add(other.#known(from));
      if (this.#part !== null) this.include([id]);
      return id;
    };
  }

  /**
   * Makes nodes of the table part of this graph; does nothing for a graph that has all of it.
   * @param ids complete ones, and with them all their inputs that are not part of it yet
   * @returns those that were not part of it before
   * @throws DrvGraphError DRV_GRAPH_INCOMPLETE where that is not so; nothing is included then
   */
  include(ids: Iterable<NodeId>): Uint32Array {
    const part = this.#part;
    if (part === null) return new Uint32Array();
    const table = this.#table;
    const { start, cells } = table.inputLinks;
    const given = NodeSet.of(ids);
    const fresh = given.toArray().filter((id) => !part.members.has(id));
    let edges = 0;
    for (const id of fresh) {
      if (!table.isComplete(id)) throw this.#incomplete(id);
      const head = start[id] ?? 0;
      const end = head + (cells[head] ?? 0);
      for (let at = head + 1; at <= end; at++) {
        const input = cells[at] ?? 0;
        if (!given.has(input) && !part.members.has(input)) throw this.#incomplete(input);
      }
      edges += end - head;
    }
    for (const id of fresh) part.members.add(id);
    part.edgeCount += edges;
    this.#dependents = null;
    return fresh;
  }

  /** From now on a part holds nothing: its nodes may be dropped from the table. */
  close(): void {
    if (this.#part === null) return;
    this.#part = { members: new NodeSet(0), edgeCount: 0 };
    this.#dependents = null;
  }

  /** Of all nodes, placeholders included, ascending. */
  ids(): Uint32Array {
    if (this.#part !== null) return this.#part.members.toArray();
    return Uint32Array.from({ length: this.#table.bound }, (_, id) => id);
  }

  find(path: DrvPath): NodeId | undefined {
    const id = this.#table.find(path);
    return id === undefined || this.#has(id) ? id : undefined;
  }

  /** False for a placeholder. */
  isComplete(id: NodeId): boolean {
    return this.#table.isComplete(this.#known(id));
  }

  pathOf(id: NodeId): DrvPath {
    return this.#table.pathOf(this.#known(id));
  }

  /** Without hash and '.drv'. */
  nameOf(id: NodeId): string {
    return this.#table.nameOf(this.#known(id));
  }

  systemOf(id: NodeId): string {
    return this.#table.systemOf(this.#known(id));
  }

  isFixedOutput(id: NodeId): boolean {
    return this.#table.isFixedOutput(this.#known(id));
  }

  prefersLocalBuild(id: NodeId): boolean {
    return this.#table.prefersLocalBuild(this.#known(id));
  }

  allowsSubstitutes(id: NodeId): boolean {
    return this.#table.allowsSubstitutes(this.#known(id));
  }

  requiredFeaturesOf(id: NodeId): readonly string[] {
    return this.#table.requiredFeaturesOf(this.#known(id));
  }

  /** In the order given to add(). */
  outputsOf(id: NodeId): readonly DrvOutput[] {
    return this.#table.outputsOf(this.#known(id));
  }

  /** A view in the order given to add(); do not keep it across add(), do not write to it. */
  inputsOf(id: NodeId): Uint32Array {
    return this.#table.inputsOf(this.#known(id));
  }

  /** Names of the outputs used of each input, in the order of inputsOf(id). */
  usedOutputsOf(id: NodeId): readonly (readonly string[])[] {
    return this.#table.usedOutputsOf(this.#known(id));
  }

  /** A view, ascending; do not keep it across add(). The first call after an add() costs O(nodes + edges). */
  dependentsOf(id: NodeId): Uint32Array {
    return neighboursOf(this.dependentLinks, this.#known(id));
  }

  /** Raw adjacency for loops over millions of edges; do not keep it across add(), do not write to it. */
  get inputLinks(): Links {
    return this.#table.inputLinks;
  }

  /**
   * The same towards dependents. The first use after an add() costs O(nodes + edges); of a part: after an include(),
   * and O(its own nodes + edges), whatever others add to the table meanwhile.
   */
  get dependentLinks(): Links {
    const { bound, version, inputLinks } = this.#table;
    const known = this.#dependents;
    if (known !== null && (this.#part !== null || known.version === version)) return known.links;
    const links = takeAll(reverseLinks(inputLinks, this.ids(), bound));
    this.#dependents = { links, version };
    return links;
  }

  /**
   * What the first use of `dependentLinks` costs, before it: what is added between its steps makes it vain, and nothing
   * else. Only for a graph of its own.
   */
  *linkDependents(): Steps<void> {
    const { bound, version, inputLinks } = this.#table;
    if (this.#part !== null || this.#dependents?.version === version) return;
    this.#dependents = { links: yield* reverseLinks(inputLinks, this.ids(), bound), version };
  }

  /**
   * Everything the roots need, roots included, inputs before dependents; of placeholders only themselves.
   * @param follows inputs that it refuses are left out with what only they lead to; roots are not asked about.
   * @throws DrvGraphError DRV_GRAPH_CYCLE
   */
  closureOf(roots: Iterable<NodeId>, follows?: (id: NodeId) => boolean): Uint32Array {
    return takeAll(this.closureInSteps(roots, follows));
  }

  /** The same. What is added between its steps is not among it; what of it is there must stay as it is. */
  *closureInSteps(roots: Iterable<NodeId>, follows?: (id: NodeId) => boolean): Steps<Uint32Array> {
    const [links, nodeCount] = [this.inputLinks, this.nodeCount];
    const scratch = this.#table.takeScratch();
    try {
      const found = yield* orderAfterLinked({ links, nodeCount, scratch }, this.#allKnown(roots), follows);
      return this.#ordered(found);
    } finally {
      this.#table.giveBack(scratch);
    }
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
    const found = this.#walk(this.dependentLinks, (walk) => takeAll(orderAfterLinked(walk, sources)));
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
    return this.#walk(this.inputLinks, (walk) => shortestPath(walk, from, isGoal));
  }

  #has(id: NodeId): boolean {
    return this.#part === null ? id < this.#table.bound && id >= 0 : id >= 0 && this.#part.members.has(id);
  }

  #known(id: NodeId): NodeId {
    if (this.#has(id)) return id;
    throw new DrvGraphError(
      'DRV_GRAPH_UNKNOWN_NODE',
      `No node ${id}: this graph has ${this.#part?.members.size ?? this.nodeCount} nodes. ` +
        'Ask with an id that add() or find() of this graph gave, and before it is closed.',
    );
  }

  *#allKnown(ids: Iterable<NodeId>): Generator<NodeId> {
    for (const id of ids) yield this.#known(id);
  }

  #incomplete(id: NodeId): DrvGraphError {
    const path = this.#table.pathOf(id);
    return new DrvGraphError(
      'DRV_GRAPH_INCOMPLETE',
      `${path} is not whole here: add the derivation and what it needs before what needs it.`,
    );
  }

  #ordered(found: PostOrder): Uint32Array {
    if (found.kind === 'ordered') return found.order;
    throw cycleError(found.cycle.map((id) => this.pathOf(id)));
  }

  #walk<T>(links: Links, walk: (walk: Walk) => T): T {
    return this.#table.withScratch((scratch) => walk({ links, nodeCount: this.nodeCount, scratch }));
  }
}
