// What a check came to, and what that means for the change it judges.
import type { Conclusion } from './verdict.ts';

/**
 * refused: it was not run, and `reason` says why. interrupted: it was ended before it could come to anything, by nobody
 * who wanted that.
 */
export type CheckOutcome = 'passed' | 'failed' | 'timed-out' | 'refused' | 'cancelled' | 'interrupted';

/** One check of the judged tree. Everything but `outcome` comes from outside and may hold any text. */
export interface JudgedCheck {
  readonly name: string;
  /** Under which its run and its log are found; null where none is kept. */
  readonly id: string | null;
  readonly outcome: CheckOutcome;
  /** With which its command ended; null where it did not end by itself. */
  readonly status: number | null;
  /** Why it did not pass, in one sentence; null where it did. */
  readonly reason: string | null;
  readonly durationMs: number | null;
  /** The last lines of its output, oldest first, as they came. */
  readonly outputTail: readonly string[];
  readonly logUrl: string | null;
  /** True: the same was run before, and this is what came of it. */
  readonly kept: boolean;
}

/** A change merges only where its checks passed: what could not be run has not. */
export const conclusionOfCheck = (outcome: CheckOutcome): Conclusion => {
  switch (outcome) {
    case 'passed':
      return 'success';
    case 'failed':
    case 'timed-out':
    case 'refused':
      return 'failure';
    case 'cancelled':
      return 'cancelled';
    case 'interrupted':
      return 'neutral';
  }
};
