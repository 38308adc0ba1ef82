// `order`: which build comes next. How soon all of a real package set is built, and how soon changes get their verdict,
// in simulated time, against first-in-first-out, random orders and what no order can beat.
import { DrvGraph, type DrvNode, type NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { randomDrvNodes } from '@eka-ci/core/testing/random-graph';
import { readDerivationClosure } from '@eka-ci/nix/derivation-files';
import { findRealDerivations, whereRealDerivationsAre } from '@eka-ci/nix/testing/real-derivations';
import {
  type Arrival,
  asEkaCi,
  atRandom,
  firstInFirstOut,
  type Policy,
  simulate,
} from './build-simulation.ts';
import {
  assertSameWork,
  type Benchmark,
  type Figure,
  forOrientation,
  type Outcome,
  type RunOptions,
  summarize,
  timesAsMuch,
} from './measure.ts';
import { storeDir, unpackRealStore } from './real-store.ts';

interface Sizes {
  readonly seeds: number;
  readonly randomOrders: number;
  readonly slots: readonly number[];
  readonly changes: number;
}
const fullSizes: Sizes = { seeds: 20, randomOrders: 200, slots: [8, 64, 512], changes: 60 };
const smokeSizes: Sizes = { seeds: 1, randomOrders: 3, slots: [8], changes: 12 };

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
const randomFrom = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

const normal = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

const logNormal = (random: () => number, median: number, sigma: number): number =>
  median * Math.exp(sigma * normal(random));

/** Seconds by node: a fetch takes seconds, a build half a minute, some an hour. */
const durationsOf = (graph: DrvGraph, seed: number): Float64Array => {
  const random = randomFrom(seed);
  return Float64Array.from({ length: graph.nodeCount }, (_, id) =>
    graph.isFixedOutput(id) ? logNormal(random, 2, 0.7) : logNormal(random, 30, 1.2),
  );
};

/** What is believed of them: half to double. */
const misjudged = (durations: Float64Array, seed: number): Float64Array => {
  const random = randomFrom(seed ^ 0x5eed);
  return durations.map((seconds) => seconds * 2 ** (2 * random() - 1));
};

const valueIn = (numbers: Float64Array) => (id: NodeId) => numbers[id] ?? 0;

/** The longest chain, or all work shared out: nothing is faster than the longer of the two. */
const boundOf = (graph: DrvGraph, durations: Float64Array, slots: number): number => {
  const chains = new Float64Array(graph.nodeCount);
  let longest = 0;
  let work = 0;
  for (const id of graph.closureOf(Array.from({ length: graph.nodeCount }, (_, node) => node))) {
    let below = 0;
    for (const input of graph.inputsOf(id)) below = Math.max(below, chains[input] ?? 0);
    chains[id] = below + (durations[id] ?? 0);
    longest = Math.max(longest, chains[id] ?? 0);
    work += durations[id] ?? 0;
  }
  return Math.max(longest, work / slots);
};

const makespanFigures = (graph: DrvGraph, slots: number, sizes: Sizes): Figure[] => {
  const arrivals: Arrival[] = [{ atS: 0, wanted: Array.from({ length: graph.nodeCount }, (_, id) => id) }];
  const spans = { known: [] as number[], wrong: [] as number[], random: [] as number[] };
  const [fifo, bounds]: number[][] = [[], []];
  for (let seed = 1; seed <= sizes.seeds; seed++) {
    const durations = durationsOf(graph, seed);
    const run = (policy: Policy): number => {
      const { makespanS, built } = simulate({
        graph,
        arrivals,
        slots,
        durationOf: valueIn(durations),
        policy,
      });
      assertSameWork('builds', { built, wanted: graph.nodeCount });
      return makespanS;
    };
    spans.known.push(run(asEkaCi(graph, valueIn(durations))));
    spans.wrong.push(run(asEkaCi(graph, valueIn(misjudged(durations, seed)))));
    fifo?.push(run(firstInFirstOut()));
    bounds?.push(boundOf(graph, durations, slots));
    const random = randomFrom(seed ^ 0xa11);
    spans.random.push(Math.min(...Array.from({ length: sizes.randomOrders }, () => run(atRandom(random)))));
  }
  const bound = { name: 'the bound', samples: summarize(bounds ?? []) };
  const best = { name: `best of ${sizes.randomOrders} random orders`, samples: summarize(spans.random) };
  const ours = summarize(spans.known);
  const name = `all built, ${slots} slots`;
  return [
    timesAsMuch({ name, unit: 's', ours, baseline: best, atMost: 1.01 }),
    timesAsMuch({ name, unit: 's', ours, baseline: bound, atMost: slots <= 8 ? 1.1 : 1.01 }),
    timesAsMuch({
      name: `${name}, durations wrong by up to 2×`,
      unit: 's',
      ours: summarize(spans.wrong),
      baseline: { name: 'durations known', samples: ours },
      atMost: 1.01,
    }),
    forOrientation({ name: `${name}, first in first out`, unit: 's', ours: summarize(fifo ?? []) }),
  ];
};

/** The node, and all that depend on it. */
const rebuiltBy = (graph: DrvGraph, edited: NodeId): ReadonlySet<NodeId> => {
  const rebuilt = new Set([edited]);
  for (const node of rebuilt) for (const dependent of graph.dependentsOf(node)) rebuilt.add(dependent);
  return rebuilt;
};

/** One graph with a part for each change: what an edit of some derivation of the set rebuilds, under names of its own. */
const changesOf = (
  graph: DrvGraph,
  count: number,
  random: () => number,
): { readonly graph: DrvGraph; readonly parts: readonly (readonly NodeId[])[] } => {
  const all = new DrvGraph();
  const packages = Array.from({ length: graph.nodeCount }, (_, id) => id).filter(
    (id) => !graph.isFixedOutput(id),
  );
  const parts = Array.from({ length: count }, (_, change) => {
    const edited = packages[Math.floor(random() * packages.length)] ?? 0;
    return copyInto(all, { graph, nodes: rebuiltBy(graph, edited), change });
  });
  return { graph: all, parts };
};

interface Part {
  readonly graph: DrvGraph;
  readonly nodes: ReadonlySet<NodeId>;
  readonly change: number;
}

const copyInto = (all: DrvGraph, { graph, nodes, change }: Part): NodeId[] => {
  const pathOf = (id: NodeId): DrvPath => {
    const hash = `${change}`.padStart(4, '0') + `${id}`.padStart(28, '0');
    return `${storeDir}/${hash}-n.drv` as DrvPath; // A valid one: digits are part of the alphabet.
  };
  return [...graph.closureOf(nodes, (id) => nodes.has(id))].map((id) => {
    const inputs = [...graph.inputsOf(id)].filter((input) => nodes.has(input));
    const node: DrvNode = {
      path: pathOf(id),
      system: graph.systemOf(id),
      fixedOutput: graph.isFixedOutput(id),
      preferLocalBuild: graph.prefersLocalBuild(id),
      allowSubstitutes: true,
      requiredFeatures: [],
      outputs: [],
      inputs: inputs.map((input) => ({ path: pathOf(input), outputs: ['out'] })),
    };
    return all.add(node);
  });
};

const load = 0.8;

const meanOf = (numbers: readonly number[]): number =>
  numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

interface Alone {
  readonly graph: DrvGraph;
  readonly wanted: readonly NodeId[];
  readonly durations: Float64Array;
  readonly slots: number;
}

/** About what no order can beat. */
const timeAlone = ({ graph, wanted, durations, slots }: Alone): number => {
  const durationOf = valueIn(durations);
  const arrivals = [{ atS: 0, wanted }];
  return simulate({ graph, arrivals, slots, durationOf, policy: asEkaCi(graph, durationOf) }).makespanS;
};

const verdictFigures = (graph: DrvGraph, slots: number, sizes: Sizes): Figure[] => {
  const means = { ours: [] as number[], fifo: [] as number[] };
  const slowest = { ours: [] as number[], fifo: [] as number[] };
  const alone: number[] = [];
  for (let seed = 1; seed <= sizes.seeds; seed++) {
    const random = randomFrom(seed ^ 0xc4a);
    const changes = changesOf(graph, sizes.changes, random);
    const durations = durationsOf(changes.graph, seed);
    const workS = durations.reduce((sum, seconds) => sum + seconds, 0);
    const endS = workS / slots / load;
    const times = changes.parts.map(() => random() * endS).toSorted((a, b) => a - b);
    const arrivals = changes.parts.map((wanted, nth): Arrival => ({ atS: times[nth] ?? 0, wanted }));
    const run = (policy: Policy) =>
      simulate({ graph: changes.graph, arrivals, slots, durationOf: valueIn(durations), policy });
    alone.push(meanOf(changes.parts.map((wanted) => timeAlone({ ...changes, wanted, durations, slots }))));
    const ours = run(asEkaCi(changes.graph, valueIn(misjudged(durations, seed))));
    const fifo = run(firstInFirstOut());
    assertSameWork('builds', { ours: ours.built, fifo: fifo.built });
    for (const [name, { verdictsS }] of Object.entries({ ours, fifo }) as ['ours' | 'fifo', typeof ours][]) {
      means[name].push(meanOf(verdictsS));
      slowest[name].push(Math.max(...verdictsS));
    }
  }
  const figure = (name: string, of: typeof means, atMost: number): Figure =>
    timesAsMuch({
      name,
      unit: 's',
      ours: summarize(of.ours),
      baseline: { name: 'first in first out', samples: summarize(of.fifo) },
      atMost,
    });
  const what = `${sizes.changes} changes at ${load * 100} % load on ${slots} slots`;
  return [
    figure(`${what}: mean time to the verdict`, means, 0.5),
    figure(`${what}: the slowest verdict`, slowest, 1.5),
    forOrientation({ name: `${what}: mean if each were alone`, unit: 's', ours: summarize(alone) }),
  ];
};

const realGraph = async (): Promise<DrvGraph | null> => {
  const data = findRealDerivations();
  if (data === null) return null;
  const store = await unpackRealStore(data, { small: false });
  try {
    const graph = new DrvGraph();
    const { realStoreDir, tops } = store;
    for await (const batch of readDerivationClosure({ storeDir, realStoreDir, roots: tops })) {
      for (const { node } of batch) graph.add(node);
    }
    return graph;
  } finally {
    await store.dispose();
  }
};

const generatedGraph = (nodes: number): DrvGraph => {
  const graph = new DrvGraph();
  for (const node of randomDrvNodes({ nodes, seed: 7 })) graph.add(node);
  return graph;
};

const run = async ({ smoke }: RunOptions): Promise<Outcome> => {
  const sizes = smoke ? smokeSizes : fullSizes;
  const real = smoke ? null : await realGraph();
  const graph = real ?? generatedGraph(smoke ? 500 : 13_000);
  const figures = [
    ...sizes.slots.flatMap((slots) => makespanFigures(graph, slots, sizes)),
    ...verdictFigures(graph, 8, sizes),
  ];
  const notes = real === null && !smoke ? [`on a generated graph; ${whereRealDerivationsAre}`] : [];
  return { kind: 'measured', figures, notes };
};

export const order: Benchmark = {
  name: 'order',
  what: 'which build comes next: all of a real set, and the verdicts of many changes, in simulated time',
  run,
};
