// From two jobsets and a graph to the Markdown on the forge, against the same questions asked of plain objects.
import type { AttrOutcome } from '@eka-ci/core/attr-outcome';
import { buildChangeSummary } from '@eka-ci/core/change-summary/build';
import type { ChangeSummary } from '@eka-ci/core/change-summary/document';
import { MARKDOWN_BYTES, renderMarkdown } from '@eka-ci/core/change-summary/markdown';
import type { DrvGraph } from '@eka-ci/core/drv-graph';
import { classifyPackageChanges } from '@eka-ci/core/package-changes';
import { measureRebuildImpact } from '@eka-ci/core/rebuild-impact';
import { planRebuilds } from '@eka-ci/core/rebuild-plan';
import { judgeJobset } from '@eka-ci/core/verdict';
import { compareVersions, splitDrvName } from '@eka-ci/nix/drv-name';
import { makePackageSet, type PackageSetData, toGraph } from './change-summary-data.ts';
import { type Answers, answerNaively, toNaiveGraph } from './change-summary-naive.ts';
import {
  assertSameWork,
  type Benchmark,
  collectGarbage,
  type Figure,
  forOrientation,
  type GrowthPoint,
  growthFigure,
  type RunOptions,
  type Samples,
  summarize,
  time,
  timeInterleaved,
  timesLess,
  within,
} from './measure.ts';

const nameRules = { splitName: splitDrvName, compareVersions };
const succeeded: AttrOutcome = { state: 'succeeded', durationMs: 1000 };
const failed: AttrOutcome = {
  state: 'failed',
  cause: 'builder-exit',
  reason: 'builder failed with exit code 1',
  logTail: Array.from(
    { length: 20 },
    (_, line) => `line ${line} of a log that says at some length what went wrong`,
  ),
};

/** One build in a hundred, told by the path. */
const hasFailed = (drvPath: string): boolean => /^\/nix\/store\/(?:0[0-9]|1a)/.test(drvPath);

const summarizeChange = (data: PackageSetData, graph: DrvGraph): ChangeSummary => {
  const plan = planRebuilds({ base: data.base, judged: data.judged, graph });
  const verdict = judgeJobset({
    plan,
    outcomes: { judged: (path) => (hasFailed(path) ? failed : succeeded), base: () => succeeded },
    allowEvalFailures: true,
  });
  return buildChangeSummary({
    change: {
      repository: 'example/packages',
      number: 1,
      baseSha: '0'.repeat(40),
      headSha: '1'.repeat(40),
      judgedTree: '2'.repeat(40),
      merged: true,
    },
    jobs: [
      {
        kind: 'judged',
        plan,
        graph,
        verdict,
        packageChanges: classifyPackageChanges(plan, nameRules),
        impact: measureRebuildImpact(plan, graph),
        source: { kind: 'file', file: 'default.nix', attrPath: null },
        sizes: null,
        sizeCheck: null,
        notices: [],
      },
    ],
    notices: [],
  });
};

interface Made {
  readonly summary: ChangeSummary;
  readonly markdown: string;
}

const endToEnd = (data: PackageSetData, graph: DrvGraph): Made => {
  const summary = summarizeChange(data, graph);
  return { summary, markdown: renderMarkdown(summary, { pageUrl: 'https://ci.example.org/changes/1' }) };
};

const answersOf = ({ summary }: Made): Answers => {
  const [job] = summary.jobs;
  const impact = job?.rebuildImpact;
  const changes = (job?.packageChanges ?? []).filter(({ primary }) => primary !== null);
  return {
    changed: job?.attributes.changed ?? 0,
    bumped: changes.filter(({ primary }) => primary?.kind === 'VersionBump').length,
    rebuilt: impact?.totalRebuilds ?? 0,
    causes: impact?.causeCount ?? 0,
    newlyFailing: job?.outcomeCounts['newly-failing'] ?? 0,
    blastRadii: (impact?.topBlastRadius ?? []).map(({ dependents }) => dependents).join(),
    whyLengths: changes.reduce((sum, { why }) => sum + (why?.length ?? 0), 0),
  };
};

const usedBytes = (): number => {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

interface Memory {
  /** Jobsets, graph and result together. */
  readonly heldMb: number;
  /** What one run adds, garbage included that nobody has collected yet. */
  readonly workMb: number;
}

/** Without the nodes that the graph was made of: a server has them on disk. */
const makeHeld = (attributes: number): { readonly data: PackageSetData; readonly graph: DrvGraph } => {
  const data = makePackageSet(attributes);
  return { data: { ...data, nodes: [] }, graph: toGraph(data) };
};

const measureMemory = (attributes: number): Memory => {
  collectGarbage();
  const empty = usedBytes();
  const { data, graph } = makeHeld(attributes);
  collectGarbage();
  const before = usedBytes();
  const made = endToEnd(data, graph);
  const after = usedBytes();
  collectGarbage();
  const held = usedBytes() - empty;
  // Also keeps all three alive up to here.
  assertSameWork('jobs', {
    summary: made.summary.jobs.length,
    jobsets: data.judged.records.length > 0 ? 1 : 0,
  });
  if (graph.nodeCount === 0) throw new RangeError('the graph is empty');
  return { heldMb: held / 1e6, workMb: (after - before) / 1e6 };
};

const compareSides = async (attributes: number, repetitions: number): Promise<readonly Figure[]> => {
  const data = makePackageSet(attributes);
  const graph = toGraph(data);
  const naive = toNaiveGraph(data);
  const { ours, plain } = await timeInterleaved(
    {
      ours: { run: () => endToEnd(data, graph) },
      plain: { run: () => answerNaively(naive, data, hasFailed) },
    },
    { repetitions, warmUps: repetitions > 1 ? 1 : 0 },
  );
  const [mine, theirs] = [answersOf(ours.result), plain.result];
  for (const key of Object.keys(theirs) as (keyof Answers)[]) {
    assertSameWork(key, { ours: mine[key], naive: theirs[key] });
  }
  const bytes = Buffer.byteLength(ours.result.markdown);
  const size = `${attributes} attributes, ${graph.nodeCount} derivations, ${theirs.rebuilt} rebuilt`;
  return [
    within({ name: `end to end: ${size}`, unit: 'ms', ours: ours.ms, atMost: 1000 }),
    timesLess({
      name: 'the same answers, ours with document and Markdown as well',
      ours: ours.ms,
      baseline: { name: 'plain objects, nothing rendered', samples: plain.ms },
      atLeast: 1,
    }),
    within({ name: 'Markdown', unit: 'bytes', ours: summarize([bytes]), atMost: MARKDOWN_BYTES }),
  ];
};

const measureGrowth = async (largest: number, repetitions: number): Promise<Figure> => {
  const points: GrowthPoint[] = [];
  for (const size of [largest / 100, largest / 10, largest]) {
    const data = makePackageSet(size);
    const graph = toGraph(data);
    // Small sizes are over before the compiler has looked at them.
    const rounds = Math.ceil(repetitions * (largest / size) ** 0.5);
    for (let warmUp = 0; warmUp < Math.min(rounds, 30); warmUp++) endToEnd(data, graph);
    const { ms } = await time({ run: () => endToEnd(data, graph) }, rounds);
    points.push({ size, cost: ms.median });
  }
  return growthFigure('change-summary', points);
};

const oneValue = (value: number): Samples => summarize([value]);

const run = async ({ smoke, repetitions }: RunOptions) => {
  const attributes = smoke ? 1000 : 100_000;
  const memory = measureMemory(attributes);
  const figures: Figure[] = [
    ...(await compareSides(attributes, smoke ? 1 : repetitions)),
    within({
      name: 'memory: jobsets, graph and summary',
      unit: 'MB',
      ours: oneValue(memory.heldMb),
      atMost: 300,
    }),
    forOrientation({
      name: 'memory that one run takes beside them',
      unit: 'MB',
      ours: oneValue(memory.workMb),
    }),
  ];
  if (!smoke) figures.push(await measureGrowth(attributes, repetitions));
  return { kind: 'measured' as const, figures };
};

export const changeSummary: Benchmark = {
  name: 'change-summary',
  what: 'plan, classify, measure, judge and render a change of 5 %, against plain objects and Sets',
  run,
};
