// The baseline: the same answers as first written down, with an object a node and a Set a question.
import type { DrvNode } from '@eka-ci/core/drv-graph';
import type { EvaluatedAttr } from '@eka-ci/core/evaluation';
import type { PackageSetData } from './change-summary-data.ts';

interface NaiveNode {
  readonly drv: DrvNode;
  readonly inputs: NaiveNode[];
  readonly dependents: NaiveNode[];
}

/** What both sides must agree on. */
export interface Answers {
  readonly changed: number;
  readonly bumped: number;
  readonly rebuilt: number;
  readonly causes: number;
  readonly newlyFailing: number;
  /** Of the top 5, highest first. */
  readonly blastRadii: string;
  /** Lengths of all ways to a cause together. */
  readonly whyLengths: number;
}

export type NaiveGraph = ReadonlyMap<string, NaiveNode>;

export const toNaiveGraph = ({ nodes }: PackageSetData): NaiveGraph => {
  const graph = new Map<string, NaiveNode>();
  for (const drv of nodes) graph.set(drv.path, { drv, inputs: [], dependents: [] });
  for (const node of graph.values()) {
    for (const { path } of node.drv.inputs) {
      const input = graph.get(path);
      if (input === undefined) continue;
      node.inputs.push(input);
      input.dependents.push(node);
    }
  }
  return graph;
};

const closureOf = (graph: NaiveGraph, paths: Iterable<string>): Set<NaiveNode> => {
  const closure = new Set<NaiveNode>();
  for (const path of paths) {
    const node = graph.get(path);
    if (node !== undefined) closure.add(node);
  }
  for (const node of closure) for (const input of node.inputs) closure.add(input);
  return closure;
};

const outputsOf = ({ drv }: NaiveNode): string[] => drv.outputs.map(({ path }) => path);

const countDependents = (node: NaiveNode, counted: ReadonlySet<NaiveNode>): number => {
  const seen = new Set([node]);
  for (const one of seen)
    for (const dependent of one.dependents) if (counted.has(dependent)) seen.add(dependent);
  return seen.size - 1;
};

const wayToCause = (
  from: NaiveNode,
  causes: ReadonlySet<NaiveNode>,
  rebuilt: ReadonlySet<NaiveNode>,
): number => {
  const lengths = new Map([[from, 1]]);
  for (const [node, length] of lengths) {
    if (causes.has(node)) return length;
    for (const input of node.inputs)
      if (rebuilt.has(input) && !lengths.has(input)) lengths.set(input, length + 1);
  }
  return 0;
};

/** @param hasFailed whether building a derivation of the judged tree failed */
export const answerNaively = (
  graph: NaiveGraph,
  { base, judged }: PackageSetData,
  hasFailed: (drvPath: string) => boolean,
): Answers => {
  const before = new Map(base.records.map((record) => [record.attr, record]));
  const changed: { old: EvaluatedAttr; now: EvaluatedAttr }[] = [];
  for (const now of judged.records) {
    const old = before.get(now.attr);
    if (now.kind !== 'derivation' || old?.kind !== 'derivation') continue;
    if (JSON.stringify(now.outputs) !== JSON.stringify(old.outputs)) changed.push({ old, now });
  }
  const known = new Set(
    [
      ...closureOf(
        graph,
        base.records.flatMap((record) => ('drvPath' in record ? [record.drvPath] : [])),
      ),
    ].flatMap(outputsOf),
  );
  const closure = closureOf(
    graph,
    judged.records.flatMap((record) => ('drvPath' in record ? [record.drvPath] : [])),
  );
  const rebuilt = new Set([...closure].filter((node) => !outputsOf(node).every((path) => known.has(path))));
  const causes = new Set(
    [...rebuilt].filter((node) => node.drv.fixedOutput || !node.inputs.some((input) => rebuilt.has(input))),
  );
  const roots = changed.flatMap(({ now }) => graph.get(now.drvPath) ?? []);
  const counted = new Set(roots);
  const radii = roots.map((node) => countDependents(node, counted)).sort((a, b) => b - a);
  return {
    changed: changed.length,
    bumped: changed.filter(({ old, now }) => old.meta?.version !== now.meta?.version).length,
    rebuilt: rebuilt.size,
    causes: causes.size,
    newlyFailing: changed.filter(({ now }) => hasFailed(now.drvPath)).length,
    blastRadii: radii.slice(0, 5).join(),
    whyLengths: roots.reduce((sum, node) => sum + wayToCause(node, causes, rebuilt), 0),
  };
};
