// How building one attribute ended, and what the base's own build can say against a failure.
import { type FailureCause, type InterruptionCause, isTransient } from './build-state.ts';
import { isPassing } from './evaluation.ts';
import type { DrvPath } from './ids.ts';
import type { AddedRow, BuildRow } from './rebuild-plan.ts';

/** The derivation whose own failure is behind an outcome. */
export interface Culprit {
  readonly drvPath: DrvPath;
  /** Without hash and `.drv`. */
  readonly name: string;
  /** Where it is an attribute of the job itself. */
  readonly attr?: string;
}

/** What is known of building one attribute's derivation. */
export interface AttrOutcome {
  /**
   * `unknown`: no answer yet, one may come. `not-built`: no answer, and none will come; `reason` says why.
   * `unsatisfiable`: no builder offers its system or features.
   */
  readonly state:
    | 'succeeded'
    | 'failed'
    | 'dependency-failed'
    | 'interrupted'
    | 'unsatisfiable'
    | 'not-built'
    | 'unknown';
  /** The culprit's. */
  readonly cause?: FailureCause | InterruptionCause;
  /** One sentence for people, for example the builder's exit status or what was not offered. */
  readonly reason?: string;
  /** The failed dependency where the attribute itself was never tried; absent: the attribute's own derivation. */
  readonly culprit?: Culprit;
  /** The culprit's last lines, oldest first. */
  readonly logTail?: readonly string[];
  /** Where the culprit's log is read. */
  readonly logUrl?: string;
  readonly durationMs?: number;
  /** It succeeded when a failure was built once more. */
  readonly flaky?: boolean;
  /** One sentence for people, where the culprit's, or its own, earlier attempts say more than the last alone. */
  readonly attempts?: string;
  /** It is not built before somebody approves the change. */
  readonly awaitsApproval?: boolean;
  readonly substituted?: boolean;
}

/** Outcomes by derivation; each is asked for derivations of the plan's rows only. */
export interface OutcomeLookup {
  readonly judged: (drvPath: DrvPath) => AttrOutcome;
  /** `unknown` makes the verdict wait for it: see `basesNeeded`. */
  readonly base: (drvPath: DrvPath) => AttrOutcome;
}

/** What the base says of the attribute; `unknowable`: nothing, and nothing will come. */
export type BaseOutcome =
  | 'absent'
  | 'unevaluable'
  | 'unavailable'
  | 'succeeded'
  | 'failed'
  | 'unknown'
  | 'unknowable';

const timeouts: ReadonlySet<string> = new Set<InterruptionCause>(['timeout', 'max-duration', 'log-limit']);

const isTimeout = ({ cause }: AttrOutcome): boolean => cause !== undefined && timeouts.has(cause);

const isOfSurroundings = ({ cause }: AttrOutcome): boolean => cause !== undefined && isTransient(cause);

/** How a build ended, timeouts and cancellations of dependencies counted as its own. */
export type Ending = 'succeeded' | 'failed' | 'timed-out' | 'cancelled' | 'not-built' | 'open';

export const endingOf = (outcome: AttrOutcome): Ending => {
  switch (outcome.state) {
    case 'succeeded':
      return 'succeeded';
    case 'failed':
      return 'failed';
    case 'dependency-failed':
    case 'interrupted':
      if (isTimeout(outcome)) return 'timed-out';
      if (outcome.cause === 'cancelled') return 'cancelled';
      // An interruption that is tried again is no outcome yet; without memory a second time it has failed.
      return outcome.state === 'dependency-failed' || isOfSurroundings(outcome) ? 'failed' : 'open';
    case 'unsatisfiable':
    case 'not-built':
      return 'not-built';
    case 'unknown':
      return 'open';
  }
};

export interface BaseAnswer {
  readonly base: BaseOutcome;
  readonly note: string | null;
}

const unknowable = (why: string): BaseAnswer => ({
  base: 'unknowable',
  note: `counted as newly failing: ${why}`,
});

/** Of an attribute that had no derivation on the base. */
const askBaseOfAdded = ({ base, twin }: AddedRow, judged: AttrOutcome): BaseAnswer => {
  if (twin !== null && endingOf(judged) === 'failed') {
    return { base: 'failed', note: `the base has the same build as ${twin.attr}` };
  }
  if (base === null) return { base: 'absent', note: null };
  if (base.kind === 'unavailable') return { base: 'unavailable', note: null };
  if (isPassing(base.failure)) return unknowable(`the base was not evaluated (${base.failure.message})`);
  return { base: 'unevaluable', note: null };
};

/** What the base can say against a failure of the judged tree. */
export const askBase = (row: BuildRow, judged: AttrOutcome, { base }: OutcomeLookup): BaseAnswer => {
  if (row.change === 'added') return askBaseOfAdded(row, judged);
  const outcome = base(row.base.drvPath);
  const because = outcome.reason === undefined ? '' : ` (${outcome.reason})`;
  switch (endingOf(outcome)) {
    case 'succeeded':
      return { base: 'succeeded', note: null };
    case 'failed':
      // A base that lacked a network or memory says nothing of a package that fails by its own doing.
      return isOfSurroundings(outcome) && !isOfSurroundings(judged)
        ? unknowable(`the base failed for another reason (${outcome.cause ?? 'unknown'})`)
        : { base: 'failed', note: null };
    case 'timed-out':
      return unknowable(`the base timed out${because}`);
    case 'cancelled':
      return unknowable('the base was cancelled');
    case 'not-built':
      return unknowable(`the base was not built${because}`);
    case 'open':
      return { base: 'unknown', note: null };
  }
};
