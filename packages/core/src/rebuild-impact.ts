// How far a change reaches: rebuilds by system, the edit behind them, what depends on what, and why each rebuilds.
import { type BlastRadius, findTopBlastRadius } from './blast-radius.ts';
import type { DrvGraph, NodeId } from './drv-graph.ts';
import { isBuildRow, type RebuildPlan } from './rebuild-plan.ts';
import { buildKeyOf } from './rebuilt-closure.ts';

/** The labels nixpkgs puts on pull requests. */
export type RebuildBucket =
  | '0'
  | '1'
  | '1-10'
  | '11-100'
  | '101-500'
  | '501-1000'
  | '1001-2500'
  | '2501-5000'
  | '5001+';

export interface SystemRebuilds {
  /** For example `x86_64-linux`. */
  readonly system: string;
  /** Distinct derivations of added and changed attributes that the base does not build. */
  readonly rebuilds: number;
}

export interface KernelRebuilds {
  readonly kernel: 'linux' | 'darwin';
  readonly rebuilds: number;
  readonly bucket: RebuildBucket;
}

/** A derivation in words: for people, and for links. */
export interface DrvReference {
  readonly drvPath: string;
  /** Without hash and `.drv`. */
  readonly name: string;
  /** The first of the job's attributes that is this derivation; null for one that is no attribute. */
  readonly attr: string | null;
}

export interface BlastRadiusRow extends DrvReference {
  readonly dependents: number;
}

export interface RebuildImpact {
  /** By system in code-unit order; only systems that something is rebuilt for. */
  readonly systems: readonly SystemRebuilds[];
  /** Always both. */
  readonly kernels: readonly KernelRebuilds[];
  /** Distinct derivations that must be rebuilt, dependencies that are no attribute included. */
  readonly totalRebuilds: number;
  readonly causeCount: number;
  /** The edit itself, by name; at most `maxCauses`. */
  readonly causes: readonly DrvReference[];
  /**
   * Attributes that the edit is in: those that are causes, and the nearest ones above a cause that is no attribute
   * (a new source, a library without a name of its own). In code-unit order.
   */
  readonly editedAttrs: readonly string[];
  /** Most dependents first; who has none is not listed. */
  readonly topBlastRadius: readonly BlastRadiusRow[];
}

export interface ImpactOptions {
  /** @default 5 */
  readonly maxTopBlastRadius?: number;
  /** True: rebuilt derivations that are no attribute compete for the top as well. @default false */
  readonly fullBlastRadius?: boolean;
  /** @default 100 */
  readonly maxCauses?: number;
}

const bucketLimits: readonly (readonly [number, RebuildBucket])[] = [
  [0, '0'],
  [1, '1'],
  [10, '1-10'],
  [100, '11-100'],
  [500, '101-500'],
  [1000, '501-1000'],
  [2500, '1001-2500'],
  [5000, '2501-5000'],
];

export const bucketOf = (rebuilds: number): RebuildBucket =>
  bucketLimits.find(([limit]) => rebuilds <= limit)?.[1] ?? '5001+';

/** Rebuilt derivations that are attributes, each with its first attribute, by attribute. */
const findAttrNodes = (plan: RebuildPlan, graph: DrvGraph): Map<NodeId, string> => {
  const attrs = new Map<NodeId, string>();
  for (const row of plan.rows) {
    if (!isBuildRow(row)) continue;
    const id = graph.find(row.judged.drvPath);
    if (id !== undefined && plan.rebuilt.set.has(id) && !attrs.has(id)) attrs.set(id, row.attr);
  }
  return attrs;
};

const countBySystem = (graph: DrvGraph, ids: Iterable<NodeId>): SystemRebuilds[] => {
  const counts = new Map<string, number>();
  const seen = new Set<string>();
  for (const id of ids) {
    const key = buildKeyOf(graph, id);
    if (seen.has(key)) continue;
    seen.add(key);
    const system = graph.systemOf(id);
    counts.set(system, (counts.get(system) ?? 0) + 1);
  }
  return [...counts]
    .map(([system, rebuilds]) => ({ system, rebuilds }))
    .sort((a, b) => (a.system < b.system ? -1 : 1));
};

const countByKernel = (systems: readonly SystemRebuilds[]): KernelRebuilds[] =>
  (['linux', 'darwin'] as const).map((kernel) => {
    const rebuilds = systems
      .filter(({ system }) => system.endsWith(`-${kernel}`))
      .reduce((sum, { rebuilds: count }) => sum + count, 0);
    return { kernel, rebuilds, bucket: bucketOf(rebuilds) };
  });

/** Upwards from the causes, stopping at the first attributes met. */
const findEdited = (plan: RebuildPlan, graph: DrvGraph, attrs: ReadonlyMap<NodeId, string>): Set<NodeId> => {
  const { nodes, set, causes } = plan.rebuilt;
  const reached = new Set<NodeId>();
  for (const id of nodes) {
    const isReached =
      causes.has(id) ||
      graph.inputsOf(id).some((input) => set.has(input) && reached.has(input) && !attrs.has(input));
    if (isReached) reached.add(id);
  }
  return reached;
};

const editedAttrsOf = (plan: RebuildPlan, graph: DrvGraph, edited: ReadonlySet<NodeId>): string[] =>
  plan.rows.flatMap((row) => {
    const id = isBuildRow(row) ? graph.find(row.judged.drvPath) : undefined;
    return id !== undefined && edited.has(id) ? [row.attr] : [];
  });

/** As RebuildImpact has them. Linear in rebuilt derivations and their edges. */
export const findEditedAttrs = (plan: RebuildPlan, graph: DrvGraph): string[] =>
  editedAttrsOf(plan, graph, findEdited(plan, graph, findAttrNodes(plan, graph)));

const compareReferences = (a: DrvReference, b: DrvReference): number => {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.drvPath < b.drvPath ? -1 : 1;
};

const toRows = (top: readonly BlastRadius[], refer: (id: NodeId) => DrvReference): BlastRadiusRow[] =>
  top
    .map(({ id, dependents }) => ({ ...refer(id), dependents }))
    .sort((a, b) => b.dependents - a.dependents || compareReferences(a, b));

/** Linear in rebuilt derivations and their edges, times the few rounds that the top needs. */
export const measureRebuildImpact = (
  plan: RebuildPlan,
  graph: DrvGraph,
  options: ImpactOptions = {},
): RebuildImpact => {
  const { maxTopBlastRadius = 5, fullBlastRadius = false, maxCauses = 100 } = options;
  const attrs = findAttrNodes(plan, graph);
  const refer = (id: NodeId): DrvReference => ({
    drvPath: graph.pathOf(id),
    name: graph.nameOf(id),
    attr: attrs.get(id) ?? null,
  });
  const systems = countBySystem(graph, attrs.keys());
  const causes = [...plan.rebuilt.causes].map(refer).sort(compareReferences);
  const edited = findEdited(plan, graph, attrs);
  const top = findTopBlastRadius({
    graph,
    rebuilt: plan.rebuilt,
    counted: attrs,
    isCandidate: (id) => fullBlastRadius || attrs.has(id),
    limit: maxTopBlastRadius,
  });
  return {
    systems,
    kernels: countByKernel(systems),
    totalRebuilds: plan.rebuilt.buildCount,
    causeCount: causes.length,
    causes: causes.slice(0, maxCauses),
    editedAttrs: editedAttrsOf(plan, graph, edited),
    topBlastRadius: toRows(top, refer).slice(0, maxTopBlastRadius),
  };
};
