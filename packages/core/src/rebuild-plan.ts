// Judged minus base, attribute by attribute and by output paths: what a change adds, removes and rebuilds.
import type { DrvGraph, NodeId } from './drv-graph.ts';
import {
  type EvaluatedAttr,
  type EvaluationRecord,
  type FailedAttr,
  isPassing,
  type Jobset,
  type UnavailableAttr,
} from './evaluation.ts';
import type { DrvPath } from './ids.ts';
import { findRebuilt, type PlanRoots, type RebuiltClosure } from './rebuilt-closure.ts';

export type PlanChange = 'added' | 'removed' | 'changed' | 'unchanged' | 'unavailable' | 'unevaluable';

export interface AddedRow {
  readonly change: 'added';
  readonly attr: string;
  /** Null where the base lacks the attribute; else why it had no derivation there. */
  readonly base: FailedAttr | UnavailableAttr | null;
  readonly judged: EvaluatedAttr;
  /** The base's attribute that is the same build under another name. */
  readonly twin: EvaluatedAttr | null;
}

export interface RemovedRow {
  readonly change: 'removed';
  readonly attr: string;
  readonly base: EvaluationRecord;
  readonly judged: null;
}

export interface ChangedRow {
  readonly change: 'changed';
  readonly attr: string;
  readonly base: EvaluatedAttr;
  readonly judged: EvaluatedAttr;
}

/** Equal output paths, whatever the derivations' paths are. */
export interface UnchangedRow {
  readonly change: 'unchanged';
  readonly attr: string;
  readonly base: EvaluatedAttr;
  readonly judged: EvaluatedAttr;
}

export interface UnavailableRow {
  readonly change: 'unavailable';
  readonly attr: string;
  readonly base: EvaluationRecord | null;
  readonly judged: UnavailableAttr;
  /** False where the base refuses it too. */
  readonly newly: boolean;
}

export interface UnevaluableRow {
  readonly change: 'unevaluable';
  readonly attr: string;
  readonly base: EvaluationRecord | null;
  readonly judged: FailedAttr;
  /** False where it fails on the base too, by the code's own doing. */
  readonly newly: boolean;
}

/** One attribute path of either side. */
export type PlanRow = AddedRow | RemovedRow | ChangedRow | UnchangedRow | UnavailableRow | UnevaluableRow;

/** A row whose derivation the change asks to build. */
export type BuildRow = AddedRow | ChangedRow;

export interface RebuildPlan {
  readonly job: string;
  /** One for every attribute of either side, by `attr` in code-unit order. */
  readonly rows: readonly PlanRow[];
  readonly counts: Readonly<Record<PlanChange, number>>;
  /** Derivations of added and changed attributes, each once, in the order of the rows. */
  readonly rootsToBuild: readonly DrvPath[];
  readonly rebuilt: RebuiltClosure;
}

export type RebuildPlanErrorCode = 'REBUILD_PLAN_UNSORTED_JOBSET' | 'REBUILD_PLAN_UNKNOWN_DERIVATION';

/** Thrown when the inputs break their contract: judging them all the same would give a wrong verdict. */
export class RebuildPlanError extends Error {
  readonly code: RebuildPlanErrorCode;
  constructor(code: RebuildPlanErrorCode, message: string) {
    super(message);
    this.name = 'RebuildPlanError';
    this.code = code;
  }
}

export const isBuildRow = (row: PlanRow): row is BuildRow =>
  row.change === 'added' || row.change === 'changed';

const hasEqualOutputs = (base: EvaluatedAttr, judged: EvaluatedAttr): boolean => {
  if (base.drvPath === judged.drvPath) return true;
  const names = Object.keys(judged.outputs);
  if (names.length !== Object.keys(base.outputs).length) return false;
  // Null is a path nobody knows before the build: only the derivation's own path tells, and that differs.
  return names.every((name) => {
    const path = judged.outputs[name];
    return typeof path === 'string' && Object.hasOwn(base.outputs, name) && base.outputs[name] === path;
  });
};

const failsByItself = (record: EvaluationRecord | null): boolean =>
  record?.kind === 'failed' && !isPassing(record.failure);

/** Where the base evaluates in spite of what its meta says, that is not what refuses now: something else broke. */
const unexplainedRefusal = (base: EvaluationRecord | null, judged: UnavailableAttr): FailedAttr | null => {
  if (base?.kind !== 'derivation') return null;
  const { meta } = base;
  if (meta === null || !judged.reasons.every((reason) => meta[reason])) return null;
  const { attr, attrPath, reasons } = judged;
  const message = `it no longer evaluates; its meta says ${reasons.join(', ')}, but so it does on the base, where it evaluates`;
  return { kind: 'failed', attr, attrPath, failure: { kind: 'throw', message, position: null } };
};

type FindTwin = (judged: EvaluatedAttr) => EvaluatedAttr | null;

const compareRecords = (
  base: EvaluationRecord | null,
  judged: EvaluationRecord,
  findTwin: FindTwin,
): PlanRow => {
  const { attr } = judged;
  switch (judged.kind) {
    case 'failed':
      return { change: 'unevaluable', attr, base, judged, newly: !failsByItself(base) };
    case 'unavailable': {
      const broken = unexplainedRefusal(base, judged);
      if (broken !== null) return { change: 'unevaluable', attr, base, judged: broken, newly: true };
      return { change: 'unavailable', attr, base, judged, newly: base?.kind !== 'unavailable' };
    }
    case 'derivation':
      if (base?.kind !== 'derivation') return { change: 'added', attr, base, judged, twin: findTwin(judged) };
      return { change: hasEqualOutputs(base, judged) ? 'unchanged' : 'changed', attr, base, judged };
  }
};

const assertSorted = (jobset: Jobset, side: string): void => {
  let previous: string | undefined;
  for (const { attr } of jobset.records) {
    if (previous !== undefined && attr <= previous) {
      throw new RebuildPlanError(
        'REBUILD_PLAN_UNSORTED_JOBSET',
        `the ${side} jobset of ${jobset.job} has ${JSON.stringify(attr)} after ${JSON.stringify(previous)}; sort its records by attr in code-unit order, each once`,
      );
    }
    previous = attr;
  }
};

const createTwinFinder = (base: readonly EvaluationRecord[]): FindTwin => {
  let byFirstOutput: Map<string, EvaluatedAttr> | null = null;
  const keyOf = ({ outputs, drvPath }: EvaluatedAttr): string => Object.values(outputs)[0] ?? drvPath;
  return (judged) => {
    byFirstOutput ??= new Map(
      base.flatMap((record) => (record.kind === 'derivation' ? [[keyOf(record), record] as const] : [])),
    );
    const candidate = byFirstOutput.get(keyOf(judged));
    return candidate !== undefined && hasEqualOutputs(candidate, judged) ? candidate : null;
  };
};

const joinByAttr = (base: readonly EvaluationRecord[], judged: readonly EvaluationRecord[]): PlanRow[] => {
  const rows: PlanRow[] = [];
  const findTwin = createTwinFinder(base);
  let next = 0;
  const removeUpTo = (limit: string | null): void => {
    for (let record = base[next]; record !== undefined; record = base[++next]) {
      if (limit !== null && record.attr >= limit) return;
      rows.push({ change: 'removed', attr: record.attr, base: record, judged: null });
    }
  };
  for (const record of judged) {
    removeUpTo(record.attr);
    const candidate = base[next];
    const isSame = candidate?.attr === record.attr;
    if (isSame) next++;
    rows.push(compareRecords(isSame ? candidate : null, record, findTwin));
  }
  removeUpTo(null);
  return rows;
};

const countByChange = (rows: readonly PlanRow[]): Record<PlanChange, number> => {
  const counts = { added: 0, removed: 0, changed: 0, unchanged: 0, unavailable: 0, unevaluable: 0 };
  for (const row of rows) counts[row.change]++;
  return counts;
};

const createFinder =
  (graph: DrvGraph) =>
  (path: DrvPath): NodeId => {
    const id = graph.find(path);
    if (id !== undefined && graph.isComplete(id)) return id;
    throw new RebuildPlanError(
      'REBUILD_PLAN_UNKNOWN_DERIVATION',
      `${path} is not in the derivation graph; add the closures of both jobsets before planning`,
    );
  };

const findRoots = (rows: readonly PlanRow[], rootsToBuild: Iterable<DrvPath>, graph: DrvGraph): PlanRoots => {
  const find = createFinder(graph);
  const base: NodeId[] = [];
  const left: NodeId[] = [];
  for (const row of rows) {
    if (row.base?.kind !== 'derivation') continue;
    const id = find(row.base.drvPath);
    base.push(id);
    if (row.judged?.kind !== 'derivation' || row.judged.drvPath !== row.base.drvPath) left.push(id);
  }
  return { toBuild: Array.from(rootsToBuild, find), base, left };
};

export interface PlanInput {
  /** Of the same job. Without a base (a first push): a jobset without records. */
  readonly base: Jobset;
  readonly judged: Jobset;
  /** Holds the closures of both sides. */
  readonly graph: DrvGraph;
}

/**
 * Compares two jobsets of a job. Linear in attributes and edges.
 * @throws RebuildPlanError on a jobset that is not sorted, or a derivation that the graph lacks
 */
export const planRebuilds = ({ base, judged, graph }: PlanInput): RebuildPlan => {
  assertSorted(base, 'base');
  assertSorted(judged, 'judged');
  const rows = joinByAttr(base.records, judged.records);
  const roots = new Set<DrvPath>();
  for (const row of rows) if (isBuildRow(row)) roots.add(row.judged.drvPath);
  const rebuilt = findRebuilt(graph, findRoots(rows, roots, graph));
  return { job: judged.job, rows, counts: countByChange(rows), rootsToBuild: [...roots], rebuilt };
};
