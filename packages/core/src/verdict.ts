// A jobset against its base: what each build and evaluation means for the change, and the conclusion of all.
import {
  type AttrOutcome,
  askBase,
  type BaseAnswer,
  type BaseOutcome,
  endingOf,
  type OutcomeLookup,
} from './attr-outcome.ts';
import { type EvaluationFailure, isPassing, type UnavailableReason } from './evaluation.ts';
import type { DrvPath } from './ids.ts';
import { type BuildRow, isBuildRow, type PlanRow, type RebuildPlan } from './rebuild-plan.ts';

/** Worst first: the order in which they are shown. */
export const verdictKinds = [
  'newly-failing',
  'newly-unevaluable',
  'failing-base-unknown',
  'timed-out',
  'cancelled',
  'in-progress',
  'not-built',
  'flaky',
  'still-failing',
  'still-unevaluable',
  'unavailable',
  'newly-succeeding',
  'still-succeeding',
] as const;
export type VerdictKind = (typeof verdictKinds)[number];

/** One derivation under one or more attributes, or one attribute that has none. */
export interface VerdictRow {
  readonly kind: VerdictKind;
  /** The first of its attributes in code-unit order. */
  readonly attr: string;
  readonly aliases: readonly string[];
  readonly system: string | null;
  readonly drvPath: DrvPath | null;
  readonly baseDrvPath: DrvPath | null;
  /** Null where nothing is built: `*-unevaluable`, `unavailable`. */
  readonly outcome: AttrOutcome | null;
  readonly evaluation: EvaluationFailure | null;
  readonly unavailable: readonly UnavailableReason[];
  readonly base: BaseOutcome;
  /** What the reader must know to trust the row, for example that the base could not be built; else null. */
  readonly note: string | null;
}

/** action-required: builds are held until somebody approves them. */
export type Conclusion =
  | 'success'
  | 'failure'
  | 'cancelled'
  | 'timed-out'
  | 'action-required'
  | 'neutral'
  | 'pending';

export interface SystemVerdict {
  readonly system: string;
  readonly conclusion: Conclusion;
}

export interface Verdict {
  readonly conclusion: Conclusion;
  /** Of rows: names of one derivation count once. `unavailable` counts what the base refuses too. */
  readonly counts: Readonly<Record<VerdictKind, number>>;
  /** Attributes that are what they are on the base: not built, not listed. */
  readonly unchanged: number;
  /** By kind, worst first, then by attribute. What the base refuses as well is counted only. */
  readonly rows: readonly VerdictRow[];
  /** By system in code-unit order. */
  readonly systems: readonly SystemVerdict[];
}

export interface VerdictInput {
  readonly plan: RebuildPlan;
  readonly outcomes: OutcomeLookup;
  /** True: only evaluation failures that the base does not have fail the gate; false: any does. */
  readonly allowEvalFailures: boolean;
}

const kindOfFailure = (base: BaseOutcome): VerdictKind => {
  switch (base) {
    case 'unknown':
      return 'failing-base-unknown';
    case 'failed':
    case 'unevaluable':
      return 'still-failing';
    case 'absent':
    case 'unavailable':
    case 'succeeded':
    case 'unknowable':
      return 'newly-failing';
  }
};

const judgeBuild = (
  row: BuildRow,
  outcomes: OutcomeLookup,
): BaseAnswer & { kind: VerdictKind; outcome: AttrOutcome } => {
  const outcome = outcomes.judged(row.judged.drvPath);
  const answer = askBase(row, outcome, outcomes);
  const unsaid = { ...answer, note: null };
  const ending = endingOf(outcome);
  const ofAttempts = outcome.attempts ?? null;
  switch (ending) {
    case 'failed': {
      const note = [answer.note, ofAttempts].filter((said) => said !== null).join('; ');
      return { ...answer, note: note === '' ? null : note, kind: kindOfFailure(answer.base), outcome };
    }
    case 'succeeded': {
      const isNew = answer.base !== 'succeeded' && answer.base !== 'unknown' && answer.base !== 'unknowable';
      if (outcome.flaky === true) return { ...answer, note: ofAttempts, kind: 'flaky', outcome };
      return { ...unsaid, kind: isNew ? 'newly-succeeding' : 'still-succeeding', outcome };
    }
    case 'timed-out':
    case 'cancelled':
    case 'not-built':
      return { ...unsaid, kind: ending, outcome };
    case 'open':
      return { ...unsaid, kind: 'in-progress', outcome };
  }
};

const baseOf = (row: PlanRow): BaseOutcome => {
  if (row.base === null) return 'absent';
  if (row.base.kind === 'derivation') return 'unknown';
  if (row.base.kind === 'unavailable') return 'unavailable';
  return isPassing(row.base.failure) ? 'unknowable' : 'unevaluable';
};

const noteOf = ({ base }: PlanRow): string | null =>
  base?.kind === 'failed' && isPassing(base.failure)
    ? `counted as new: the base was not evaluated (${base.failure.message})`
    : null;

const judgeRow = (row: PlanRow, outcomes: OutcomeLookup): VerdictRow | null => {
  const baseDrvPath = row.base?.kind === 'derivation' ? row.base.drvPath : null;
  const nothing = {
    attr: row.attr,
    aliases: [],
    baseDrvPath,
    outcome: null,
    evaluation: null,
    unavailable: [],
  };
  const unbuilt = { ...nothing, system: null, drvPath: null, base: baseOf(row), note: null };
  switch (row.change) {
    case 'added':
    case 'changed': {
      const { system, drvPath } = row.judged;
      return { ...nothing, system, drvPath, ...judgeBuild(row, outcomes) };
    }
    case 'unevaluable':
      return {
        ...unbuilt,
        note: noteOf(row),
        kind: row.newly ? 'newly-unevaluable' : 'still-unevaluable',
        evaluation: row.judged.failure,
      };
    case 'unavailable':
      return { ...unbuilt, kind: 'unavailable', unavailable: row.judged.reasons };
    case 'removed':
    case 'unchanged':
      return null;
  }
};

interface Tally {
  readonly counts: Record<VerdictKind, number>;
  /** Of those that are not built: how many wait for approval. */
  held: number;
}

const emptyTally = (): Tally => ({ counts: emptyVerdictCounts(), held: 0 });

const tally = (into: Tally, { kind, outcome }: VerdictRow): void => {
  into.counts[kind]++;
  if (kind === 'not-built' && outcome?.awaitsApproval === true) into.held++;
};

const concludes = ({ counts, held }: Tally, allowEvalFailures: boolean): Conclusion => {
  if (counts['in-progress'] > 0 || counts['failing-base-unknown'] > 0) return 'pending';
  if (counts['newly-failing'] > 0 || counts['newly-unevaluable'] > 0) return 'failure';
  if (!allowEvalFailures && counts['still-unevaluable'] > 0) return 'failure';
  if (held > 0) return 'action-required';
  if (counts['timed-out'] > 0) return 'timed-out';
  if (counts.cancelled > 0) return 'cancelled';
  if (counts['not-built'] > 0) return 'neutral';
  return 'success';
};

export const emptyVerdictCounts = (): Record<VerdictKind, number> => ({
  'newly-failing': 0,
  'newly-unevaluable': 0,
  'failing-base-unknown': 0,
  'timed-out': 0,
  cancelled: 0,
  'in-progress': 0,
  'not-built': 0,
  flaky: 0,
  'still-failing': 0,
  'still-unevaluable': 0,
  unavailable: 0,
  'newly-succeeding': 0,
  'still-succeeding': 0,
});

const concludeSystems = (rows: readonly VerdictRow[], allowEvalFailures: boolean): SystemVerdict[] => {
  const bySystem = new Map<string, Tally>();
  for (const row of rows) {
    if (row.system === null) continue;
    const tallied = bySystem.get(row.system) ?? emptyTally();
    tally(tallied, row);
    bySystem.set(row.system, tallied);
  }
  return [...bySystem]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([system, tallied]) => ({ system, conclusion: concludes(tallied, allowEvalFailures) }));
};

const judgeRows = (plan: RebuildPlan, outcomes: OutcomeLookup): (VerdictRow & { aliases: string[] })[] => {
  const rows: (VerdictRow & { aliases: string[] })[] = [];
  const byBuild = new Map<string, string[]>();
  for (const planned of plan.rows) {
    const row = judgeRow(planned, outcomes);
    if (row === null) continue;
    const key = row.drvPath === null ? null : `${row.drvPath} ${row.kind} ${row.base}`;
    const known = key === null ? undefined : byBuild.get(key);
    if (known !== undefined) {
      known.push(row.attr);
      continue;
    }
    const aliases: string[] = [];
    if (key !== null) byBuild.set(key, aliases);
    rows.push({ ...row, aliases });
  }
  return rows;
};

const severity = new Map<VerdictKind, number>(verdictKinds.map((kind, index) => [kind, index]));

/**
 * The verdict as far as it is known now: `pending` until every build has ended and every base that a failure is
 * compared with is known. Linear in rows.
 */
export const judgeJobset = ({ plan, outcomes, allowEvalFailures }: VerdictInput): Verdict => {
  const all = judgeRows(plan, outcomes);
  const tallied = emptyTally();
  for (const row of all) tally(tallied, row);
  const rows = all
    .filter((row) => row.kind !== 'unavailable' || row.base !== 'unavailable')
    // Stable: within a kind the rows stay in the order of their attributes.
    .sort((a, b) => (severity.get(a.kind) ?? 0) - (severity.get(b.kind) ?? 0));
  return {
    conclusion: concludes(tallied, allowEvalFailures),
    counts: tallied.counts,
    unchanged: plan.counts.unchanged,
    rows,
    systems: concludeSystems(rows, allowEvalFailures),
  };
};

/** Derivations of the base that must be built before the failures seen so far can be judged; each once. */
export const basesNeeded = (plan: RebuildPlan, outcomes: OutcomeLookup): readonly DrvPath[] => {
  const needed = new Set<DrvPath>();
  for (const row of plan.rows) {
    if (!isBuildRow(row) || row.base?.kind !== 'derivation') continue;
    if (judgeBuild(row, outcomes).kind === 'failing-base-unknown') needed.add(row.base.drvPath);
  }
  return [...needed];
};

/** The derivation whose own failure is behind a newly failing row, for each such row. */
export const culpritsOfNewFailures = (plan: RebuildPlan, outcomes: OutcomeLookup): readonly DrvPath[] =>
  plan.rows.flatMap((row) => {
    if (!isBuildRow(row)) return [];
    const { kind, outcome } = judgeBuild(row, outcomes);
    return kind === 'newly-failing' ? [outcome.culprit?.drvPath ?? row.judged.drvPath] : [];
  });
