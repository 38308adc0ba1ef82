// Where the nodes of one or several graphs lie: a column a property, a row a node, and no object for either.

import type { DrvNode, DrvOutput, NodeId } from '../drv-node.ts';
import type { DrvPath } from '../ids.ts';
import { NodeSet } from '../node-set.ts';
import { DrvPathTable } from './drv-path-table.ts';
import { CompactUints, growUint8 } from './growable.ts';
import { ListInterner, rememberById, StringInterner } from './interner.ts';
import { GrowingLinks, type Links, neighboursOf } from './links.ts';
import { type OutputOwner, OutputTable } from './output-table.ts';
import { Scratch } from './scratch.ts';

const COMPLETE = 1;
const FIXED_OUTPUT = 2;
const PREFER_LOCAL = 4;
const NO_SUBSTITUTES = 8;

/**
 * An id is stable while its node is here or is named as an input by one that is. A *placeholder* is such a name: it has
 * a path, and of everything else nothing. Ids are not checked here: graphs do that.
 */
export class DrvNodeTable {
  readonly #paths = new DrvPathTable();
  #inputs = new GrowingLinks();
  /** Lies at the same index as the input's cell: the list of its outputs used. */
  #usedOutputs = new CompactUints();
  readonly #outputs = new OutputTable();
  #flags = new Uint8Array(0);
  #systems = new CompactUints();
  #features = new CompactUints();
  #systemNames = new StringInterner();
  #lists = new ListInterner();
  #edgeCount = 0;
  #version = 0;
  /** Spare ones; a walk takes one, so that a callback may start another walk. */
  readonly #scratches: Scratch[] = [];

  constructor() {
    this.#nameNothing();
  }

  /** All ids are below it. */
  get bound(): number {
    return this.#paths.bound;
  }

  /** Placeholders included. */
  get count(): number {
    return this.#paths.count;
  }

  get edgeCount(): number {
    return this.#edgeCount;
  }

  /** Another one after each change. */
  get version(): number {
    return this.#version;
  }

  /** Raw adjacency for loops over millions of edges; do not keep it across add() and drop(), do not write to it. */
  get inputLinks(): Links {
    return this.#inputs;
  }

  /** Of all columns; what the few shared texts take is left out. */
  get sizeBytes(): number {
    const { start, cells } = this.#inputs;
    const columns = [this.#paths, this.#usedOutputs, this.#outputs, this.#systems, this.#features];
    return columns.reduce(
      (sum, { sizeBytes }) => sum + sizeBytes,
      start.byteLength + cells.byteLength + this.#flags.byteLength,
    );
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
    const targets = node.inputs.map(({ path }) => this.#paths.intern(path));
    const used = node.inputs.map(({ outputs }) => outputs);
    this.#link(id, targets, used);
    this.#version++;
    return id;
  }

  /**
   * A function that adds a node of another table as add() does what it is; of a placeholder only the name. It remembers
   * where those are that it has met: while it is used their ids there must stay theirs.
   */
  adderFrom(other: DrvNodeTable): (id: NodeId) => NodeId {
    const idHere = rememberById((id) => this.#paths.intern(other.pathOf(id)));
    return (from) => {
      const id = idHere(from);
      this.#reserve();
      if (this.isComplete(id) || !other.isComplete(from)) return id;
      this.#flags[id] = other.#flags[from] ?? 0;
      this.#systems.set(id, this.#systemNames.idOf(other.systemOf(from)));
      this.#features.set(id, this.#lists.idOf(other.requiredFeaturesOf(from)));
      this.#outputs.set(this.#owner(id), other.outputsOf(from));
      this.#link(id, Array.from(other.inputsOf(from), idHere), other.usedOutputsOf(from));
      this.#version++;
      return id;
    };
  }

  /**
   * Forgets these. One that a kept node needs becomes a placeholder; of any other the id is given to another node later.
   * O(nodes + edges).
   */
  drop(dropped: NodeSet): void {
    const { start, cells } = this.#inputs;
    const stay = new NodeSet(this.bound);
    const named = new NodeSet(this.bound);
    for (let id = 0; id < this.bound; id++) {
      if (!this.isComplete(id)) continue;
      if (dropped.has(id)) {
        this.#flags[id] = 0;
        continue;
      }
      stay.add(id);
      named.add(id);
      const head = start[id] ?? 0;
      const end = head + (cells[head] ?? 0);
      for (let at = head + 1; at <= end; at++) named.add(cells[at] ?? 0);
    }
    const kept = stay.toArray();
    this.#paths.keepOnly(named);
    this.#flags = this.#flags.slice(0, this.bound);
    this.#outputs.keepOnly(kept, this.bound);
    this.#rewrite(kept);
    this.#version++;
  }

  find(path: DrvPath): NodeId | undefined {
    return this.#paths.find(path);
  }

  isComplete(id: NodeId): boolean {
    return ((this.#flags[id] ?? 0) & COMPLETE) !== 0;
  }

  pathOf(id: NodeId): DrvPath {
    return this.#paths.pathOf(id);
  }

  nameOf(id: NodeId): string {
    return this.#paths.nameOf(id);
  }

  systemOf(id: NodeId): string {
    return this.#systemNames.textOf(this.#systems.get(id));
  }

  isFixedOutput(id: NodeId): boolean {
    return ((this.#flags[id] ?? 0) & FIXED_OUTPUT) !== 0;
  }

  prefersLocalBuild(id: NodeId): boolean {
    return ((this.#flags[id] ?? 0) & PREFER_LOCAL) !== 0;
  }

  allowsSubstitutes(id: NodeId): boolean {
    return ((this.#flags[id] ?? 0) & NO_SUBSTITUTES) === 0;
  }

  requiredFeaturesOf(id: NodeId): readonly string[] {
    return this.#lists.listOf(this.#features.get(id));
  }

  outputsOf(id: NodeId): readonly DrvOutput[] {
    return this.#outputs.of(this.#owner(id));
  }

  inputsOf(id: NodeId): Uint32Array {
    return neighboursOf(this.#inputs, id);
  }

  usedOutputsOf(id: NodeId): readonly (readonly string[])[] {
    const first = (this.#inputs.start[id] ?? 0) + 1;
    return Array.from(this.inputsOf(id), (_, i) => this.#lists.listOf(this.#usedOutputs.get(first + i)));
  }

  /** Memory for one walk; it is not to be kept. */
  withScratch<T>(walk: (scratch: Scratch) => T): T {
    const scratch = this.takeScratch();
    try {
      return walk(scratch);
    } finally {
      this.giveBack(scratch);
    }
  }

  /** Memory for one walk that others may walk beside: to be given back. */
  takeScratch(): Scratch {
    return this.#scratches.pop() ?? new Scratch();
  }

  giveBack(scratch: Scratch): void {
    this.#scratches.push(scratch);
  }

  /** @param usedOutputs of each target */
  #link(id: NodeId, targets: readonly NodeId[], usedOutputs: readonly (readonly string[])[]): void {
    this.#reserve();
    const links = this.#inputs;
    links.open(id, targets.length);
    this.#usedOutputs.reserve(links.length + targets.length);
    this.withScratch((scratch) => {
      scratch.begin(this.bound);
      for (const [i, target] of targets.entries()) {
        const outputs = usedOutputs[i] ?? [];
        if (scratch.mark(target)) {
          this.#usedOutputs.set(links.append(id, target), this.#lists.idOf(outputs));
          this.#edgeCount++;
        } else {
          const cell = (links.start[id] ?? 0) + 1 + this.inputsOf(id).indexOf(target);
          const both = new Set([...this.#lists.listOf(this.#usedOutputs.get(cell)), ...outputs]);
          this.#usedOutputs.set(cell, this.#lists.idOf([...both]));
        }
      }
    });
  }

  /** All but flags, paths and outputs anew; shared texts that nobody kept has go: hostile sets make up many. */
  #rewrite(kept: Uint32Array): void {
    const { inputs, usedOutputs, systems, features, systemNames, lists } = this.#takeAll();
    const systemOf = rememberById((id) => this.#systemNames.idOf(systemNames.textOf(id)));
    const listOf = rememberById((id) => this.#lists.idOf(lists.listOf(id)));
    for (const id of kept) {
      this.#systems.set(id, systemOf(systems.get(id)));
      this.#features.set(id, listOf(features.get(id)));
      const head = inputs.start[id] ?? 0;
      const count = inputs.cells[head] ?? 0;
      this.#inputs.open(id, count);
      this.#usedOutputs.reserve(this.#inputs.length + count);
      for (let at = head + 1; at <= head + count; at++) {
        const cell = this.#inputs.append(id, inputs.cells[at] ?? 0);
        this.#usedOutputs.set(cell, listOf(usedOutputs.get(at)));
      }
      this.#edgeCount += count;
    }
  }

  #takeAll() {
    const taken = {
      inputs: this.#inputs,
      usedOutputs: this.#usedOutputs,
      systems: this.#systems,
      features: this.#features,
      systemNames: this.#systemNames,
      lists: this.#lists,
    };
    this.#inputs = new GrowingLinks();
    this.#inputs.reserveNodes(this.bound);
    this.#usedOutputs = new CompactUints();
    this.#systems = new CompactUints();
    this.#systems.reserve(this.bound);
    this.#features = new CompactUints();
    this.#features.reserve(this.bound);
    this.#systemNames = new StringInterner();
    this.#lists = new ListInterner();
    this.#edgeCount = 0;
    this.#nameNothing();
    return taken;
  }

  /** Placeholders show as '' and [] by these being number 0. */
  #nameNothing(): void {
    this.#systemNames.idOf('');
    this.#lists.idOf([]);
  }

  /** Gives every column room for all nodes. */
  #reserve(): void {
    if (this.#flags.length >= this.bound) return;
    this.#flags = growUint8(this.#flags, this.bound);
    this.#systems.reserve(this.#flags.length);
    this.#features.reserve(this.#flags.length);
    this.#inputs.reserveNodes(this.#flags.length);
    this.#outputs.reserve(this.#flags.length);
  }

  #owner(id: NodeId): OutputOwner {
    return { id, name: this.#paths.nameOf(id), storePrefix: this.#paths.storePrefix };
  }
}
