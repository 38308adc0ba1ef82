// The port's runs of checks: what was asked, and what came of it. Part of database.ts.
import type { CheckOutcome, JudgedCheck } from '@eka-ci/core/check-outcome';

/** queued → running → an outcome; one that an earlier life of the server left becomes `interrupted`. */
export type CheckRunState = 'queued' | 'running' | CheckOutcome;

export interface NewCheckRun {
  /** Fresh, and no guess leads to it: it names the log. */
  readonly id: string;
  readonly changeId: string;
  readonly name: string;
  /** All that decides what comes of it, as a hash: the same question is answered once. */
  readonly question: string;
  /** Milliseconds since 1970. */
  readonly queuedAtMs: number;
}

export interface StoredCheckRun
  extends NewCheckRun,
    Pick<JudgedCheck, 'status' | 'reason' | 'durationMs' | 'outputTail' | 'kept'> {
  readonly state: CheckRunState;
  /** Relative to the log folder; null where nothing was printed. */
  readonly logFile: string | null;
  /** Milliseconds since 1970. */
  readonly endedAtMs: number | null;
}

export interface CheckRunEnd
  extends Pick<JudgedCheck, 'outcome' | 'status' | 'reason' | 'durationMs' | 'outputTail'> {
  /** False: what came of it says nothing of another run of the same. */
  readonly isAnswer: boolean;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

export interface CheckRuns {
  queue(run: NewCheckRun): Promise<void>;
  /** Queued → running. */
  start(id: string, logFile: string): Promise<void>;
  /** False: it was not open any more, nothing happened. */
  end(id: string, end: CheckRunEnd): Promise<boolean>;
  /** The newest answer that still counts: one that passed, or ended since then. */
  findAnswer(question: string, endedSinceMs: number): Promise<StoredCheckRun | null>;
  /** A run that ends where it begins, by what came of the same before. */
  keepAnswer(run: NewCheckRun, answer: StoredCheckRun): Promise<void>;
  find(id: string): Promise<StoredCheckRun | null>;
  /** Of each name the newest, by name. */
  ofChange(changeId: string): Promise<readonly StoredCheckRun[]>;
  /**
   * What this change's checks asked is asked again: of all that did not pass, or of the one named, whatever it came to.
   * `Changes.clearFailures` does the first for the change that it is asked of. @returns how many answers count no more
   */
  forgetAnswers(changeId: string, name: string | null): Promise<number>;
  /** What is open has nobody who runs it any more. @returns how many */
  interruptAll(atMs: number): Promise<number>;
  /** Those that ended before. @returns how many */
  forget(endedBeforeMs: number): Promise<number>;
}
