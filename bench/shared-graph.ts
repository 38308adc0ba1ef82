// Part of `ingest`: what changes that are judged at the same time gain by sharing one graph, in time and in memory.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DrvGraph } from '@eka-ci/core/drv-graph';
import { readDerivationClosure } from '@eka-ci/nix/derivation-files';
import type { Database } from '@eka-ci/server/database/database';
import { openSqliteDatabase } from '@eka-ci/server/database/kysely/sqlite/sqlite-database';
import {
  createSharedGraph,
  type GraphLease,
  type SharedGraph,
} from '@eka-ci/server/pipeline/graph/shared-graph';
import {
  assertSameWork,
  collectGarbage,
  type Figure,
  forOrientation,
  type RunOptions,
  summarize,
  timeInterleaved,
  timesLess,
} from './measure.ts';
import { type RealStore, storeDir } from './real-store.ts';

const liveChanges = 8;

const usedBytes = (): number => {
  // Twice: the memory of dead array buffers is given back by the sweep after a collection, which the next one awaits.
  collectGarbage();
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

/** What each change did while none shared: every file read, and edges turned round for its builds. */
const ownGraph = async ({ realStoreDir, tops }: RealStore): Promise<DrvGraph> => {
  const graph = new DrvGraph();
  for await (const batch of readDerivationClosure({ storeDir, realStoreDir, roots: tops })) {
    for (const { node } of batch) graph.add(node);
  }
  return graph;
};

const leaseAll = async (shared: SharedGraph, { tops }: RealStore): Promise<GraphLease> => {
  const lease = shared.lease();
  await lease.ingest(tops, new AbortController().signal);
  return lease;
};

const open = (database: Database, { realStoreDir }: RealStore): SharedGraph =>
  createSharedGraph({ files: { storeDir, realStoreDir }, database, capacity: 1_000_000, clock: Date.now });

/** Bytes of what `make` gives, each with the edges towards dependents. */
const bytesOf = async (make: () => Promise<readonly DrvGraph[]>): Promise<number> => {
  const before = usedBytes();
  const graphs = await make();
  const edges = graphs.reduce((sum, graph) => sum + graph.dependentLinks.cells.length, 0);
  const bytes = usedBytes() - before;
  // Else they might be collected before they are measured.
  if (edges === 0 || graphs.length !== liveChanges) throw new Error('there was nothing to measure');
  return bytes;
};

const memoryFigure = async (database: Database, store: RealStore, rounds: number): Promise<Figure> => {
  const mib = 2 ** 20;
  const apart: number[] = [];
  const together: number[] = [];
  for (let round = 0; round < rounds; round++) {
    apart.push(
      (await bytesOf(() => Promise.all(Array.from({ length: liveChanges }, () => ownGraph(store))))) / mib,
    );
    const shared = open(database, store);
    const leases: GraphLease[] = [];
    const lease = async (): Promise<DrvGraph[]> => {
      for (let at = 0; at < liveChanges; at++) leases.push(await leaseAll(shared, store));
      return leases.map(({ graph }) => graph);
    };
    together.push((await bytesOf(lease)) / mib);
    for (const { release } of leases) release();
  }
  return timesLess({
    name: `memory of ${liveChanges} changes that need the same derivations`,
    unit: 'MiB',
    ours: summarize(together),
    baseline: { name: 'a graph each', samples: summarize(apart) },
    atLeast: 3,
  });
};

/** Time and memory of a shared graph against a graph for each change. */
export const measureSharing = async (
  store: RealStore,
  { repetitions }: RunOptions,
): Promise<readonly Figure[]> => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-shared-graph-'));
  const database = await openSqliteDatabase({ path: join(folder, 'db.sqlite'), durability: 'process-death' });
  try {
    const warm = open(database, store);
    await leaseAll(warm, store);
    const released = async (shared: SharedGraph): Promise<number> => {
      const lease = await leaseAll(shared, store);
      const { edgeCount } = lease.graph;
      lease.release();
      return edgeCount;
    };
    const second = { run: () => released(warm) };
    const reloaded = { run: () => released(open(database, store)) };
    const own = { run: async () => (await ownGraph(store)).edgeCount };
    const timed = await timeInterleaved({ second, reloaded, own }, { repetitions, warmUps: 1 });
    const { result } = timed.own;
    assertSameWork('edges', { second: timed.second.result, reloaded: timed.reloaded.result, own: result });
    const baseline = { name: 'a graph of its own, from files', samples: timed.own.ms };
    return [
      timesLess({ name: 'second change on a shared graph', ours: timed.second.ms, baseline, atLeast: 20 }),
      forOrientation({
        name: 'what was forgotten: rows to shared graph',
        unit: 'ms',
        ours: timed.reloaded.ms,
      }),
      await memoryFigure(database, store, repetitions),
    ];
  } finally {
    await database.close();
    await rm(folder, { recursive: true, force: true });
  }
};
