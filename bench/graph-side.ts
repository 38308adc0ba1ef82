// `node graph-side.ts ours|naive|lean NODES`: one side of `graph` in a process of its own, because only there its memory
// is its own. Prints its measures as one line of JSON.
import { BuildFrontier } from '@eka-ci/core/build-frontier';
import { DrvGraph, type DrvNode, type NodeId } from '@eka-ci/core/drv-graph';
import { randomDrvNodes } from '@eka-ci/core/testing/random-graph';
import { NaiveGraph, type NaiveNode } from './graph-baseline.ts';
import { collectGarbage } from './measure.ts';

export interface SideMeasures {
  /** Adding the nodes, without generating them. */
  readonly loadMs: number;
  /** Everything up to the first settlement: reverse edges, ready set, critical paths. */
  readonly prepareMs: number;
  /** Heap and array buffers once the run is prepared, less those before. */
  readonly bytesPerNode: number;
  readonly settleMs: number;
  /** 100 nodes, one by one. */
  readonly blastMs: number;
  /** Of 5,000 nodes in one call; null on the naive side, which has no such call. */
  readonly manyBlastsMs: number | null;
  /** The most the process ever took from the system, V8 and what is generated included. */
  readonly peakResidentBytes: number;
  readonly work: SideWork;
}

/** Equal on both sides. */
export interface SideWork {
  readonly edges: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly dependencyFailed: number;
  readonly blastSum: number;
}

/** `Node` is what a side calls its nodes by. */
interface Side<Node> {
  add(node: DrvNode): void;
  /** Returns what is ready. */
  prepare(): Node[];
  edges(): number;
  /** In the order added. */
  nodes(): Node[];
  settleSucceeded(node: Node): Node[];
  settleFailed(node: Node): Node[];
  blastRadius(node: Node): number;
  readonly blastRadii: ((nodes: readonly Node[]) => Uint32Array) | null;
}

const compactSide = (): Side<NodeId> => {
  const graph = new DrvGraph();
  let frontier = new BuildFrontier(graph, []);
  const nodes = (): NodeId[] => Array.from({ length: graph.nodeCount }, (_, id) => id);
  return {
    add: (node) => void graph.add(node),
    prepare: () => {
      frontier = new BuildFrontier(graph, nodes());
      return frontier.initiallyReady();
    },
    edges: () => graph.edgeCount,
    nodes,
    settleSucceeded: (id) => frontier.settleSucceeded(id),
    settleFailed: (id) => frontier.settleFailed(id),
    blastRadius: (id) => graph.blastRadius(id),
    blastRadii: (ids) => graph.blastRadii(ids),
  };
};

const naiveSide = (lean: boolean): Side<NaiveNode> => {
  const graph = new NaiveGraph(lean);
  const nodes = (): NaiveNode[] => [...graph.nodes.values()];
  return {
    add: (node) => graph.add(node),
    prepare: () => nodes().filter((node) => node.pending === 0),
    edges: () => nodes().reduce((sum, node) => sum + node.inputs.size, 0),
    nodes,
    settleSucceeded: (node) => graph.settleSucceeded(node),
    settleFailed: (node) => graph.settleFailed(node),
    blastRadius: (node) => graph.blastRadius(node),
    blastRadii: null,
  };
};

const timed = <T>(run: () => T): { ms: number; result: T } => {
  const start = performance.now();
  const result = run();
  return { ms: performance.now() - start, result };
};

const usedBytes = (): number => {
  // Twice: the memory of dead array buffers is given back by the sweep after a collection, which the next one awaits.
  collectGarbage();
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

/** Generated a thousand at a time: neither their making is timed nor their memory counted. */
const load = (side: Pick<Side<never>, 'add'>, nodes: number): number => {
  let loadMs = 0;
  let batch: DrvNode[] = [];
  const flush = (): void => {
    loadMs += timed(() => {
      for (const node of batch) side.add(node);
    }).ms;
    batch = [];
  };
  for (const node of randomDrvNodes({ nodes, seed: 20 })) {
    batch.push(node);
    if (batch.length === 1000) flush();
  }
  flush();
  return loadMs;
};

const settleAll = <Node>(side: Side<Node>, ready: Node[], failing: ReadonlySet<Node>) => {
  const settled = { succeeded: 0, failed: 0, dependencyFailed: 0 };
  for (let node = ready.pop(); node !== undefined; node = ready.pop()) {
    if (failing.has(node)) {
      settled.failed++;
      settled.dependencyFailed += side.settleFailed(node).length;
    } else {
      settled.succeeded++;
      for (const next of side.settleSucceeded(node)) ready.push(next);
    }
  }
  return settled;
};

const measureSide = <Node>(side: Side<Node>, count: number): SideMeasures => {
  const bytesBefore = usedBytes();
  const loadMs = load(side, count);
  const prepared = timed(() => side.prepare());
  const bytesPerNode = (usedBytes() - bytesBefore) / count;

  const nodes = side.nodes();
  // One of each hundred, the tools at the bottom spared: one of them failing would end the run at once.
  const failing = new Set(
    nodes.filter((_, index) => index > 100 && index % 100 === Math.floor(index / 100) % 100),
  );
  const sampled = (size: number): Node[] =>
    Array.from({ length: size }, (_, i) => nodes[Math.floor(((i + 0.5) * count) / size)]).filter(
      (node) => node !== undefined,
    );
  const edges = side.edges();
  collectGarbage();
  const settled = timed(() => settleAll(side, prepared.result, failing));
  const blasts = timed(() => sampled(100).reduce((sum, node) => sum + side.blastRadius(node), 0));
  const many = sampled(Math.min(count, 5000));
  const { blastRadii } = side;
  return {
    loadMs,
    prepareMs: prepared.ms,
    bytesPerNode,
    settleMs: settled.ms,
    blastMs: blasts.ms,
    manyBlastsMs: blastRadii === null ? null : timed(() => blastRadii(many)).ms,
    peakResidentBytes: process.resourceUsage().maxRSS * 1024,
    work: { edges, ...settled.result, blastSum: blasts.result },
  };
};

if (import.meta.main) {
  const count = Number(process.argv[3]);
  const name = process.argv[2];
  const measures =
    name === 'ours' ? measureSide(compactSide(), count) : measureSide(naiveSide(name === 'lean'), count);
  console.log(JSON.stringify(measures));
}
