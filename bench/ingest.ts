// ingest: derivation files → dependency graph → rows on disk, cold and again with everything known.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DrvGraph, type DrvNode, type NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { readDerivationClosure } from '@eka-ci/nix/derivation-files';
import { findRealDerivations, whereRealDerivationsAre } from '@eka-ci/nix/testing/real-derivations';
import type { Database } from '@eka-ci/server/database/database';
import { openSqliteDatabase } from '@eka-ci/server/database/kysely/sqlite/sqlite-database';
import {
  assertSameWork,
  type Benchmark,
  type Figure,
  forOrientation,
  growthFigure,
  type Outcome,
  type RunOptions,
  timeInterleaved,
  timesAsMuch,
  timesLess,
} from './measure.ts';
import { type RealStore, registerWithNix, storeDir, unpackRealStore } from './real-store.ts';
import { measureSharing } from './shared-graph.ts';
import { findOldNix, showInBatches } from './show-derivation.ts';

const rowsAtOnce = 4096;

/** What is stored, and the graph of what is in memory. */
interface Server {
  readonly database: Database;
  readonly graph: DrvGraph;
}

interface Ingested {
  readonly read: number;
  readonly nodes: number;
  readonly edges: number;
}

/** Inputs before dependents: so the database writes each row once. */
const saveInputsFirst = async (
  { database, graph }: Server,
  roots: readonly DrvPath[],
  nodes: ReadonlyMap<NodeId, DrvNode>,
): Promise<void> => {
  const rootIds = roots.flatMap((root) => graph.find(root) ?? []);
  const ordered = [...graph.closureOf(rootIds)].flatMap((id) => nodes.get(id) ?? []);
  const saves: Promise<void>[] = [];
  for (let start = 0; start < ordered.length; start += rowsAtOnce) {
    // The database takes them one after the other; packing the next need not wait for that.
    saves.push(database.derivations.save(ordered.slice(start, start + rowsAtOnce)));
  }
  await Promise.all(saves);
};

const ingest = async (server: Server, store: RealStore, roots: readonly DrvPath[]): Promise<Ingested> => {
  const nodes = new Map<NodeId, DrvNode>();
  const closure = readDerivationClosure({
    storeDir,
    realStoreDir: store.realStoreDir,
    roots,
    known: (paths) => server.database.derivations.known(paths),
  });
  for await (const batch of closure) {
    for (const { node } of batch) nodes.set(server.graph.add(node), node);
  }
  await saveInputsFirst(server, roots, nodes);
  return { read: nodes.size, nodes: server.graph.nodeCount, edges: server.graph.edgeCount };
};

/** An empty database and an empty graph; the one before is thrown away. */
const freshServers = () => {
  let folder: string | null = null;
  let server: Server | null = null;
  const dispose = async (): Promise<void> => {
    await server?.database.close();
    if (folder !== null) await rm(folder, { recursive: true, force: true });
  };
  return {
    dispose,
    replace: async (): Promise<void> => {
      await dispose();
      folder = await mkdtemp(join(tmpdir(), 'eka-ci-ingest-'));
      const database = await openSqliteDatabase({
        path: join(folder, 'db.sqlite'),
        durability: 'power-loss',
      });
      server = { database, graph: new DrvGraph() };
    },
    current: (): Server => {
      if (server === null) throw new Error('replace() comes first');
      return server;
    },
  };
};

/** What a restarted server does in place of reading the files again. */
const reload = async ({ database }: Server, roots: readonly DrvPath[]): Promise<number> => {
  const graph = new DrvGraph();
  for await (const batch of database.derivations.closureOf(roots)) for (const node of batch) graph.add(node);
  return graph.edgeCount;
};

const compareColdAndWarm = async (
  store: RealStore,
  { repetitions }: RunOptions,
): Promise<readonly Figure[]> => {
  const nix = await findOldNix();
  if (nix !== null) await registerWithNix(nix, store);
  const servers = freshServers();
  try {
    const cold = { prepare: servers.replace, run: () => ingest(servers.current(), store, store.tops) };
    const again = { run: () => ingest(servers.current(), store, store.tops) };
    const restarted = { run: () => reload(servers.current(), store.tops) };
    const programs = { run: () => (nix === null ? null : showInBatches({ nix, store })) };
    const timed = await timeInterleaved({ cold, again, restarted, programs }, { repetitions, warmUps: 1 });
    const { result } = timed.cold;
    assertSameWork('derivations', { cold: result.read, nodes: result.nodes, files: store.paths.length });
    assertSameWork('derivations read again', { again: timed.again.result.read, none: 0 });
    assertSameWork('edges', { cold: result.edges, restarted: timed.restarted.result });
    const asked = timed.programs.result;
    if (asked !== null) {
      assertSameWork('derivations and edges', {
        cold: `${result.nodes} ${result.edges}`,
        programs: `${asked.derivations} ${asked.edges}`,
      });
    }
    const ours = timed.cold.ms;
    const baseline = { name: 'show-derivation, nothing stored', samples: timed.programs.ms };
    const warm = { name: 'cold', samples: ours };
    return [
      ...(asked === null
        ? []
        : [timesLess({ name: 'cold: files to graph and rows', ours, baseline, atLeast: 4 })]),
      timesAsMuch({ name: 'warm: all known', ours: timed.again.ms, baseline: warm, atMost: 0.05 }),
      forOrientation({ name: 'cold', unit: 'ms', ours }),
      forOrientation({ name: 'restart: rows to graph', unit: 'ms', ours: timed.restarted.ms }),
    ];
  } finally {
    await servers.dispose();
  }
};

/** What `root` needs and `seen` lacks; null when that is more than `most`. */
const unseenClosure = async (
  store: RealStore,
  root: DrvPath,
  { seen, most }: { readonly seen: ReadonlySet<DrvPath>; readonly most: number },
): Promise<readonly DrvPath[] | null> => {
  const closure: DrvPath[] = [];
  const isKnown = (path: DrvPath): boolean => seen.has(path);
  const request = { storeDir, realStoreDir: store.realStoreDir, roots: [root], isKnown, batchSize: 100 };
  for await (const batch of readDerivationClosure(request)) {
    closure.push(...batch.map((read) => read.path));
    if (closure.length > most) return null;
  }
  return closure;
};

/** As many of the tops as need about `size` derivations between them. */
const topsFor = async (store: RealStore, size: number): Promise<readonly DrvPath[]> => {
  const seen = new Set<DrvPath>();
  const roots: DrvPath[] = [];
  for (const root of store.tops) {
    const closure = await unseenClosure(store, root, { seen, most: size * 1.25 - seen.size });
    if (closure === null) continue;
    for (const path of closure) seen.add(path);
    roots.push(root);
    if (seen.size >= size) break;
  }
  return roots;
};

/** The sizes in turn, like the sides of a comparison: a machine that is busy for a while must not bend the curve. */
const measureGrowth = async (store: RealStore, { repetitions }: RunOptions): Promise<Figure> => {
  const servers = freshServers();
  const sideOf = (roots: readonly DrvPath[]) => ({
    prepare: servers.replace,
    run: () => ingest(servers.current(), store, roots),
  });
  try {
    const all = sideOf(store.tops);
    const tenth = sideOf(await topsFor(store, store.paths.length / 10));
    const hundredth = sideOf(await topsFor(store, store.paths.length / 100));
    const timed = await timeInterleaved({ all, tenth, hundredth }, { repetitions, warmUps: 1 });
    const points = Object.values(timed).map(({ ms, result }) => ({ size: result.read, cost: ms.median }));
    return growthFigure('cold', points);
  } finally {
    await servers.dispose();
  }
};

const measure = async (store: RealStore, options: RunOptions): Promise<Outcome> => {
  const figures = [...(await compareColdAndWarm(store, options))];
  figures.push(...(await measureSharing(store, options)));
  if (!options.smoke) figures.push(await measureGrowth(store, options));
  const notes = [`${store.paths.length} files; page cache warm; SQLite in its thread, every commit synced`];
  return { kind: 'measured', figures, notes };
};

export const ingestion: Benchmark = {
  name: 'ingest',
  what: 'derivation files to graph and rows on disk, cold and warm, against Nix printing the files with nothing stored',
  run: async (options) => {
    const data = findRealDerivations();
    if (data === null)
      return { kind: 'skipped', why: `no real derivations here; ${whereRealDerivationsAre}` };
    const store = await unpackRealStore(data, { small: options.smoke });
    try {
      return await measure(store, options);
    } finally {
      await store.dispose();
    }
  },
};
