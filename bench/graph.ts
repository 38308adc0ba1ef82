// `graph`: a million derivations in memory and settled, against an object a node with Maps and Sets.
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { runChild } from '@eka-ci/process';
import type { SideMeasures } from './graph-side.ts';
import {
  assertSameWork,
  type Benchmark,
  type Figure,
  forOrientation,
  growthFigure,
  type Outcome,
  type RunOptions,
  type Samples,
  summarize,
  timesLess,
  within,
} from './measure.ts';

const FULL_SIZE = 1_000_000;
const SMOKE_SIZE = 20_000;

type SideName = 'ours' | 'naive' | 'lean';

/** The naive side does not fit V8's usual heap at full size. */
const heapMb = (): number => Math.floor((totalmem() / 2 ** 20) * 0.7);

async function runSide(side: SideName, nodes: number): Promise<SideMeasures> {
  const script = join(import.meta.dirname, 'graph-side.ts');
  const { code, signal, stdout, stderr } = await runChild({
    command: process.execPath,
    args: [`--max-old-space-size=${heapMb()}`, script, side, String(nodes)],
    env: {},
  });
  if (code !== 0) throw new Error(`graph-side ${side} ${nodes} ended with ${code ?? signal}: ${stderr}`);
  return JSON.parse(stdout) as SideMeasures;
}

interface Rounds {
  readonly nodes: number;
  readonly ours: readonly SideMeasures[];
  readonly naive: readonly SideMeasures[];
}

async function runRounds(nodes: number, repetitions: number): Promise<Rounds> {
  const ours: SideMeasures[] = [];
  const naive: SideMeasures[] = [];
  for (let round = 0; round < repetitions; round++) {
    ours.push(await runSide('ours', nodes));
    naive.push(await runSide('naive', nodes));
  }
  const works = [...ours, ...naive].map((side, nth) => [`run ${nth}`, JSON.stringify(side.work)] as const);
  assertSameWork(`${nodes} nodes`, Object.fromEntries(works));
  return { nodes, ours, naive };
}

const samplesOf = (sides: readonly SideMeasures[], pick: (side: SideMeasures) => number): Samples =>
  summarize(sides.map(pick));

const settleCalls = ({ work }: SideMeasures): number => work.succeeded + work.failed;

const OBJECTS = 'objects, Maps and Sets';

function memoryFigures({ ours, naive }: Rounds): Figure[] {
  const bytes = samplesOf(ours, (side) => side.bytesPerNode);
  const peak = (side: SideMeasures): number => side.peakResidentBytes / 2 ** 20;
  return [
    within({ name: 'memory, all in', unit: 'bytes/node', ours: bytes, atMost: 250 }),
    timesLess({
      name: 'memory',
      unit: 'bytes/node',
      ours: bytes,
      baseline: { name: OBJECTS, samples: samplesOf(naive, (side) => side.bytesPerNode) },
      atLeast: 10,
    }),
    { ...compared({ ours, naive }, 'peak of the whole process', peak), unit: 'MiB' },
  ];
}

/** Orients: no goal. */
function compared(
  { ours, naive }: Pick<Rounds, 'ours' | 'naive'>,
  name: string,
  pick: (side: SideMeasures) => number,
): Figure {
  const samples = samplesOf(ours, pick);
  const baseline = { name: OBJECTS, samples: samplesOf(naive, pick) };
  const ratio = baseline.samples.median / samples.median;
  return { name, unit: 'ms', ours: samples, baseline, ratio, goal: '', met: null };
}

function speedFigures(rounds: Rounds): Figure[] {
  const { ours } = rounds;
  return [
    within({
      name: 'settlements, calls',
      unit: '/s',
      ours: samplesOf(ours, (side) => settleCalls(side) / (side.settleMs / 1000)),
      atLeast: 2_000_000,
    }),
    compared(rounds, 'settle all, 1 % failing', (side) => side.settleMs),
    compared(rounds, 'load', (side) => side.loadMs),
    compared(rounds, 'prepare a run of all', (side) => side.prepareMs),
    compared(rounds, 'blast radius of 100 nodes', (side) => side.blastMs),
    forOrientation({
      name: 'blast radii of 5,000 nodes, one call',
      unit: 'ms',
      ours: samplesOf(ours, (side) => side.manyBlastsMs ?? 0),
    }),
  ];
}

function growthFigures(sizes: readonly Rounds[]): Figure[] {
  const figure = (name: string, pick: (side: SideMeasures) => number): Figure =>
    growthFigure(
      name,
      sizes.map(({ nodes, ours }) => ({ size: nodes, cost: samplesOf(ours, pick).median })),
    );
  return [
    figure('memory', (side) => side.bytesPerNode * sizeOf(sizes, side)),
    figure('load', (side) => side.loadMs),
    figure('prepare', (side) => side.prepareMs),
    figure('settle', (side) => side.settleMs),
  ];
}

const sizeOf = (sizes: readonly Rounds[], side: SideMeasures): number =>
  sizes.find(({ ours }) => ours.includes(side))?.nodes ?? 0;

async function run({ smoke, repetitions }: RunOptions): Promise<Outcome> {
  const size = smoke ? SMOKE_SIZE : FULL_SIZE;
  const full = await runRounds(size, repetitions);
  const smaller: Rounds[] = [];
  for (const part of [100, 10]) smaller.push(await runRounds(size / part, repetitions));
  const work = full.ours[0]?.work;
  const lean = await runSide('lean', size);
  const leanRatio = lean.bytesPerNode / samplesOf(full.ours, (side) => side.bytesPerNode).median;
  return {
    kind: 'measured',
    figures: [...memoryFigures(full), ...speedFigures(full), ...growthFigures([...smaller, full])],
    notes: [
      `${size} nodes, ${work?.edges} edges; ${work?.succeeded} succeed, ${work?.failed} fail, ` +
        `${work?.dependencyFailed} fail with a dependency`,
      'bytes/node: heap and array buffers of graph, reverse edges and one run over all nodes, after a collection',
      `the objects with arrays in place of a Set an edge: ${lean.bytesPerNode.toFixed(0)} bytes/node, ${leanRatio.toFixed(1)}× ours`,
    ],
  };
}

export const graph: Benchmark = {
  name: 'graph',
  what: 'the derivation graph in memory: load, settle in dependency order, blast radius; against plain objects',
  run,
};
