// Stage: what a jobset's derivations need → nodes in memory: what is there already, else from rows, else from files.
import { DrvGraph, type DrvNode, type DrvNodeTable, type NodeId, type NodeSet } from '@eka-ci/core/drv-graph';
import { ClosureWalk } from '@eka-ci/core/graph/closure-walk';
import { drvNodeOf } from '@eka-ci/core/graph/copy-node';
import type { DrvPath } from '@eka-ci/core/ids';
import { type ClosureRequest, readDerivationClosure } from '@eka-ci/nix/derivation-files';
import type { Database } from '../database/database.ts';
import type { WantedDrv } from './privacy/private-derivations.ts';
import type { WantedBy } from './privacy/visibility.ts';

export interface IngestDeps {
  /** The directory in store paths' names, and where its files are. */
  readonly files: Pick<ClosureRequest, 'storeDir' | 'realStoreDir'>;
  readonly table: DrvNodeTable;
  /** Nodes that have a row. */
  readonly stored: NodeSet;
  readonly database: Pick<Database, 'derivations'>;
  /** @default nobody of whom it is to be kept */
  readonly wantedBy?: WantedBy;
}

export interface Ingested {
  /** Everything the roots need, roots included; all of it is in the table and has a row. */
  readonly closure: NodeSet;
  /** How many of these the table had. */
  readonly hits: number;
  /** How many came from rows. */
  readonly reloads: number;
  /** How many were read from files. */
  readonly reads: number;
  /** What the rows took. */
  readonly reloadMs: number;
}

/** Rows of one transaction. */
const batchSize = 2000;

class Ingestion {
  readonly #deps: IngestDeps;
  readonly #signal: AbortSignal;
  readonly #walk: ClosureWalk;
  /** Read from files. */
  readonly #fresh = new Map<NodeId, DrvNode>();
  #reloads = 0;
  #reloadMs = 0;

  constructor(deps: IngestDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.#walk = new ClosureWalk(deps.table);
  }

  async run(roots: readonly DrvPath[]): Promise<Ingested> {
    const { table } = this.#deps;
    for (const root of roots) this.#walk.meet(root);
    // What was added may need something that the table has, and that again something that it lacks.
    for (let lacking = this.#takeLacking(); lacking.length > 0; lacking = this.#takeLacking()) {
      await this.#load(lacking);
    }
    const { wantedBy } = this.#deps;
    // What has a row can be asked for: who may, is known before.
    await wantedBy?.beforeRows(this.#wanted());
    await this.#save(roots.flatMap((root) => table.find(root) ?? []));
    await wantedBy?.afterRows(this.#wanted());
    const reads = this.#fresh.size;
    return {
      closure: this.#walk.reached,
      hits: this.#walk.count - this.#reloads - reads,
      reloads: this.#reloads,
      reads,
      reloadMs: this.#reloadMs,
    };
  }

  *#wanted(): Generator<WantedDrv> {
    const { table, stored } = this.#deps;
    for (const id of this.#walk.reached) yield { path: table.pathOf(id), hasRow: stored.has(id) };
  }

  #takeLacking(): DrvPath[] {
    this.#signal.throwIfAborted();
    return this.#walk.takeLacking();
  }

  async #load(paths: readonly DrvPath[]): Promise<void> {
    const { files, table } = this.#deps;
    const isKnown = (path: DrvPath): boolean => {
      const id = table.find(path);
      return id !== undefined && table.isComplete(id);
    };
    const known = (wanted: readonly DrvPath[]): Promise<ReadonlySet<DrvPath>> => this.#reload(wanted);
    for await (const batch of readDerivationClosure({ ...files, roots: paths, isKnown, known })) {
      this.#signal.throwIfAborted();
      for (const { node } of batch) this.#fresh.set(this.#add(node), node);
    }
  }

  async #reload(paths: readonly DrvPath[]): Promise<ReadonlySet<DrvPath>> {
    this.#signal.throwIfAborted();
    const startedMs = performance.now();
    const nodes = await this.#deps.database.derivations.findAll(paths);
    for (const node of nodes) this.#deps.stored.add(this.#add(node));
    this.#reloads += nodes.length;
    if (nodes.length > 0) this.#reloadMs += performance.now() - startedMs;
    return new Set(nodes.map(({ path }) => path));
  }

  #add(node: DrvNode): NodeId {
    const id = this.#deps.table.add(node);
    this.#walk.meet(node.path);
    return id;
  }

  /** Others may have read something and been stopped before it was saved: what has no row gets one, whoever read it. */
  async #save(roots: readonly NodeId[]): Promise<void> {
    const { table, stored, database } = this.#deps;
    if (this.#walk.reached.isWithin(stored)) return;
    const graph = new DrvGraph(table);
    // Inputs before what needs them: the database then meets no input that it does not know yet.
    const unstored = graph.closureOf(roots).filter((id) => !stored.has(id));
    for (let at = 0; at < unstored.length; at += batchSize) {
      this.#signal.throwIfAborted();
      const ids = [...unstored.subarray(at, at + batchSize)];
      await database.derivations.save(ids.map((id) => this.#fresh.get(id) ?? drvNodeOf(graph, id)));
      for (const id of ids) stored.add(id);
    }
  }
}

/**
 * Adds everything `roots` need to the table, and rows of it to the database. What the table has is not read again:
 * derivations never change. Nothing may be dropped from the table meanwhile.
 * @throws DerivationFileError when a file is missing or broken; DatabaseError; the signal's reason when it aborts
 */
export const ingestClosure = (
  deps: IngestDeps,
  roots: readonly DrvPath[],
  signal: AbortSignal,
): Promise<Ingested> => new Ingestion(deps, signal).run(roots);
