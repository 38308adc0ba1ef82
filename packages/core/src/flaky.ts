// A failure that would speak against a change is not believed at once: what is built once more, and what the answers of
// all attempts come to. The answers on record decide, whoever made them and before whichever crash.
import type { BuildCause } from './build-state.ts';
import type { DrvGraph, NodeId } from './drv-graph.ts';
import type { DrvPath } from './ids.ts';

/** How an attempt ended that says something of its derivation. */
export interface BuildAnswer {
  /** Counted from 1. */
  readonly attempt: number;
  readonly state: 'succeeded' | 'failed';
  readonly cause: BuildCause | null;
  /** Relative to the log directory. */
  readonly logFile: string | null;
}

/**
 * A change that breaks everything must not take twice as long: of so many derivations a second build shows what it can,
 * for packages that are flaky are few.
 */
export const mostBuiltAgain = 20;

const ownDoing: ReadonlySet<BuildCause> = new Set<BuildCause>([
  'builder-exit',
  'missing-output',
  'hash-mismatch',
  'output-rejected',
  'not-deterministic',
]);

/**
 * True for a failure that the derivation's own builder came to. The surroundings' failures were tried again already, a
 * timeout would only take as long once more, and a derivation that cannot be read stays so.
 */
export const isOwnFailure = ({
  state,
  cause,
}: {
  readonly state: string;
  readonly cause: BuildCause | null;
}): boolean => state === 'failed' && cause !== null && ownDoing.has(cause);

/** Without those that only found what an answer before them had built. */
const withoutRepeats = <Answer extends BuildAnswer>(answers: readonly Answer[]): readonly Answer[] =>
  answers.filter(
    ({ cause }, index) => cause !== 'already-valid' || answers[index - 1]?.state !== 'succeeded',
  );

/**
 * Failures by its own doing that came before the newest answer, and after the last time that it was built.
 * @param answers of one derivation, oldest first; so is what is returned
 */
export const failuresBefore = <Answer extends BuildAnswer>(answers: readonly Answer[]): readonly Answer[] => {
  const earlier = withoutRepeats(answers).slice(0, -1);
  const lastBuilt = earlier.findLastIndex(({ state }) => state === 'succeeded');
  return earlier.slice(lastBuilt + 1).filter(isOwnFailure);
};

/**
 * True where its newest answer is a success after a failure by its own doing: the same derivation ended in both ways.
 * What was fetched says nothing of how it builds here.
 */
export const isFlaky = (answers: readonly BuildAnswer[]): boolean => {
  const newest = answers.at(-1);
  if (newest?.state !== 'succeeded' || newest.cause === 'substituted') return false;
  return failuresBefore(answers).length > 0;
};

const times = (count: number): string => (count === 1 ? 'once' : count === 2 ? 'twice' : `${count} times`);

const originalOf = (failures: readonly BuildAnswer[]): string => {
  const first = failures[0];
  if (first === undefined) return '';
  const log = first.logFile === null ? '' : ` (${first.logFile})`;
  return `attempt ${first.attempt}${log}`;
};

/**
 * One sentence for people.
 * @param flakyBuilds of the package so far, this one included
 */
export const describeFlaky = (answers: readonly BuildAnswer[], flakyBuilds: number): string => {
  const failures = failuresBefore(answers);
  const log = `the failure's log is that of ${originalOf(failures)}`;
  return `failed ${times(failures.length)}, then built; ${times(Math.max(1, flakyBuilds))} so far; ${log}`;
};

/** One sentence for people; null where it has failed no more than once. */
export const describeRepeatedFailure = (answers: readonly BuildAnswer[]): string | null => {
  const newest = answers.at(-1);
  const earlier = failuresBefore(answers);
  if (newest === undefined || !isOwnFailure(newest) || earlier.length === 0) return null;
  return `failed ${times(earlier.length + 1)}; the original log is that of ${originalOf(earlier)}`;
};

export interface BuildAgain {
  readonly drvs: readonly DrvPath[];
  /** How many are not built again, since there are too many. */
  readonly passedOver: number;
}

/**
 * Those that spoil the most rows first.
 * @param culprits the derivation whose own failure is behind a row, for each row
 * @param room how many may be built again
 */
export const chooseBuildAgain = (culprits: Iterable<DrvPath>, room: number): BuildAgain => {
  const rows = new Map<DrvPath, number>();
  for (const drv of culprits) rows.set(drv, (rows.get(drv) ?? 0) + 1);
  const inOrder = [...rows].toSorted(([a, ofA], [b, ofB]) => ofB - ofA || (a < b ? -1 : 1));
  const drvs = inOrder.slice(0, Math.max(0, room)).map(([drv]) => drv);
  return { drvs, passedOver: rows.size - drvs.length };
};

/** How a node ended. Null where it was not to be built, and so is there. */
export type NodeEnding =
  | { readonly state: 'succeeded' | 'other' }
  | { readonly state: 'dependency-failed'; readonly culprit: NodeId | null }
  | null;

export interface Freed {
  /** Needs nothing that is not there. Inputs before dependents. */
  readonly nodes: readonly NodeId[];
  /** Its failure had been laid to one that is built by now; it also needs this culprit. Inputs before dependents. */
  readonly stillBlocked: ReadonlyMap<NodeId, NodeId>;
}

/** Nodes above `from` that were not tried, since something that they need had failed. */
const findUntried = (
  graph: DrvGraph,
  from: Iterable<NodeId>,
  endingOf: (node: NodeId) => NodeEnding,
): ReadonlySet<NodeId> => {
  const untried = new Set<NodeId>();
  const queue = [...from];
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    for (const dependent of graph.dependentsOf(node)) {
      if (untried.has(dependent) || endingOf(dependent)?.state !== 'dependency-failed') continue;
      untried.add(dependent);
      queue.push(dependent);
    }
  }
  return untried;
};

/**
 * What was not tried since it needs `recovered`, which is built by now. In time proportional to that and its edges.
 * @param endingOf as the run ended; of `recovered` as of any other that succeeded
 */
export const findFreed = (
  graph: DrvGraph,
  recovered: Iterable<NodeId>,
  endingOf: (node: NodeId) => NodeEnding,
): Freed => {
  const built = new Set(recovered);
  const untried = findUntried(graph, built, endingOf);
  const freed = new Set<NodeId>();
  const stillBlocked = new Map<NodeId, NodeId>();
  /** What keeps an input from being there; null where it is. */
  const culpritOf = (input: NodeId): NodeId | null => {
    if (freed.has(input)) return null;
    const ending = endingOf(input);
    if (ending === null) return null;
    if (ending.state === 'dependency-failed') return stillBlocked.get(input) ?? ending.culprit ?? input;
    return ending.state === 'succeeded' ? null : input;
  };
  for (const node of graph.closureOf(untried, (id) => untried.has(id))) {
    const culprit = Array.from(graph.inputsOf(node), culpritOf).find((one) => one !== null) ?? null;
    const ending = endingOf(node);
    if (culprit === null) freed.add(node);
    else if (ending?.state === 'dependency-failed' && (ending.culprit === null || built.has(ending.culprit)))
      stillBlocked.set(node, culprit);
  }
  return { nodes: [...freed], stillBlocked };
};
