// One graph of derivations in memory for all judgements: each leases what it needs of it and sees nothing else. What
// nobody holds is forgotten when there are more nodes than the capacity, and comes back from rows when it is asked for.
import { DrvGraph, DrvNodeTable } from '@eka-ci/core/drv-graph';
import { type EvictionTier, evictionTiers } from '@eka-ci/core/graph/eviction';
import type { DrvPath } from '@eka-ci/core/ids';
import type { RecordedTransition } from '../../database/database.ts';
import { type IngestDeps, type Ingested, ingestClosure } from '../ingest.ts';
import type { WantedBy } from '../privacy/visibility.ts';
import { type EvictedNodes, NodeRecords, type NodeState } from './node-records.ts';

export interface GraphLease {
  /** Holds what was ingested here, and of what others ingest nothing: it answers as a graph of its own would. */
  readonly graph: DrvGraph;
  /**
   * Adds everything `roots` need, and keeps it in memory until the release; its ids stay what they are until then.
   * @throws DerivationFileError when a file is missing or broken; DatabaseError; the signal's reason when it aborts
   */
  ingest(roots: readonly DrvPath[], signal: AbortSignal): Promise<void>;
  /** The graph holds nothing from then on. Idempotent. */
  release(): void;
}

export interface GraphCounts {
  readonly capacity: number;
  /** Placeholders included. */
  readonly nodes: number;
  readonly states: Readonly<Record<NodeState, number>>;
  /** Held by a lease. */
  readonly pinned: number;
  readonly leases: number;
  readonly memoryBytes: number;
  /** Since the start: wanted nodes that were there, and that were not. */
  readonly hits: number;
  readonly misses: number;
  readonly evicted: EvictedNodes;
}

export type GraphEvent =
  /** More than four fifths of the capacity is used. Told once, until it is less again. */
  | { readonly kind: 'filling'; readonly nodes: number; readonly capacity: number }
  /** More is held than the capacity: it grows. Told once, until it is less again. */
  | {
      readonly kind: 'overfull';
      readonly nodes: number;
      readonly capacity: number;
      readonly pinned: number;
      readonly leases: number;
    }
  | { readonly kind: 'reloaded'; readonly nodes: number; readonly durationMs: number }
  | {
      readonly kind: 'evicted';
      readonly tiers: EvictedNodes;
      readonly left: number;
      readonly durationMs: number;
    };

export interface SharedGraph {
  /** @param wantedBy whoever asks for what is ingested. @default nobody of whom it is to be kept */
  lease(wantedBy?: WantedBy): GraphLease;
  /** Told of builds' transitions: how a build ended says how soon somebody asks for it again. */
  recorded(transitions: readonly Pick<RecordedTransition, 'drv' | 'to' | 'atMs'>[]): void;
  counts(): GraphCounts;
}

export interface SharedGraphDeps extends Pick<IngestDeps, 'files' | 'database'> {
  /** Nodes that are kept where not more are held. */
  readonly capacity: number;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Must not throw. */
  readonly onEvent?: (event: GraphEvent) => void;
}

/** Of the capacity. */
const fillingFrom = 0.8;
/** An eviction makes this much room at once, for it costs as much as the whole graph. */
const leftByEviction = 0.9;

class LeasableGraph implements SharedGraph {
  readonly #deps: SharedGraphDeps;
  readonly #table = new DrvNodeTable();
  readonly #records = new NodeRecords(this.#table);
  readonly #leases = new Set<DrvGraph>();
  readonly #evicted: Record<EvictionTier, number> = {
    'transitive-failure': 0,
    failure: 0,
    success: 0,
    'least-recently-used': 0,
  };
  #told = { filling: false, overfull: false };
  #hits = 0;
  #misses = 0;
  #isIngesting = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(deps: SharedGraphDeps) {
    this.#deps = deps;
  }

  lease(wantedBy?: WantedBy): GraphLease {
    const graph = DrvGraph.partOf(this.#table);
    this.#leases.add(graph);
    return {
      graph,
      ingest: (roots, signal) =>
        this.#inTurn(() => this.#ingest({ graph, roots, ...(wantedBy && { wantedBy }) }, signal)),
      release: () => {
        if (this.#leases.delete(graph)) this.#letGo(graph);
      },
    };
  }

  recorded(transitions: readonly Pick<RecordedTransition, 'drv' | 'to' | 'atMs'>[]): void {
    for (const { drv, to, atMs } of transitions) {
      const id = this.#table.find(drv);
      if (id !== undefined && this.#table.isComplete(id)) this.#records.setState(id, to, atMs);
    }
  }

  counts(): GraphCounts {
    const leased = [...this.#leases].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return {
      capacity: this.#deps.capacity,
      nodes: this.#table.count,
      states: this.#records.countStates(),
      pinned: this.#records.pinned,
      leases: this.#leases.size,
      memoryBytes: this.#table.sizeBytes + this.#records.sizeBytes + leased,
      hits: this.#hits,
      misses: this.#misses,
      evicted: { ...this.#evicted },
    };
  }
  async #ingest(
    {
      graph,
      roots,
      ...asked
    }: Pick<IngestDeps, 'wantedBy'> & {
      readonly graph: DrvGraph;
      readonly roots: readonly DrvPath[];
    },
    signal: AbortSignal,
  ): Promise<void> {
    const { files, database } = this.#deps;
    this.#isIngesting = true;
    try {
      const { stored } = this.#records;
      const deps: IngestDeps = { files, database, table: this.#table, stored, ...asked };
      const ingested = await ingestClosure(deps, roots, signal);
      this.#count(ingested);
      this.#records.touch(ingested.closure);
      if (this.#leases.has(graph)) this.#records.pin(graph.include(ingested.closure));
    } finally {
      this.#isIngesting = false;
      this.#makeRoom();
    }
  }

  /** One after the other: what one reads the next need not, and nothing is dropped under the feet of either. */
  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(work);
    // The next one does not care how this one ended; its own caller is told.
    this.#last = result.catch(() => {});
    return result;
  }

  #letGo(graph: DrvGraph): void {
    const ids = graph.ids();
    graph.close();
    this.#records.touch(ids);
    this.#records.unpin(ids);
    this.#makeRoom();
  }

  #makeRoom(): void {
    // Its end does.
    if (this.#isIngesting) return;
    const { capacity, clock } = this.#deps;
    if (this.#table.count > capacity) {
      const startedMs = performance.now();
      const tiers = this.#records.evict(Math.floor(capacity * leftByEviction), clock());
      if (tiers !== null) {
        for (const tier of evictionTiers) this.#evicted[tier] += tiers[tier];
        const durationMs = performance.now() - startedMs;
        this.#tell({ kind: 'evicted', tiers, left: this.#table.count, durationMs });
      }
    }
    this.#warn();
  }

  #warn(): void {
    const { capacity } = this.#deps;
    const nodes = this.#table.count;
    const isFilling = nodes > capacity * fillingFrom;
    if (isFilling && !this.#told.filling) this.#tell({ kind: 'filling', nodes, capacity });
    const isOverfull = nodes > capacity;
    if (isOverfull && !this.#told.overfull) {
      const { pinned } = this.#records;
      this.#tell({ kind: 'overfull', nodes, capacity, pinned, leases: this.#leases.size });
    }
    this.#told = { filling: isFilling, overfull: isOverfull };
  }

  #count({ hits, reads, reloads, reloadMs }: Ingested): void {
    this.#hits += hits;
    this.#misses += reads + reloads;
    if (reloads > 0) this.#tell({ kind: 'reloaded', nodes: reloads, durationMs: reloadMs });
  }

  #tell(event: GraphEvent): void {
    this.#deps.onEvent?.(event);
  }
}

export const createSharedGraph = (deps: SharedGraphDeps): SharedGraph => new LeasableGraph(deps);
