// The port's approvals: whose changes need none, and what a forge held until somebody approved it there. Part of
// database.ts.

/** Somebody whose changes are built without anybody being asked. Told apart by host and user id. */
export interface ApprovedAuthor {
  /** Of the forge. */
  readonly host: string;
  /** The forge's; unique there, also when the login changes. */
  readonly userId: number;
  /** As of then; for people alone. */
  readonly login: string;
  /** Who said so: the login of a person of the same forge, or `operator`. */
  readonly approvedBy: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

export interface Approvals {
  /** Idempotent: what was said first stays. @returns false where it was said before */
  approveAuthor(author: ApprovedAuthor): Promise<boolean>;
  isApproved(author: Pick<ApprovedAuthor, 'host' | 'userId'>): Promise<boolean>;
  /** Oldest first. */
  list(): Promise<readonly ApprovedAuthor[]>;
  /** What was let go by it stays so. @returns false where it was not said */
  withdraw(author: Pick<ApprovedAuthor, 'host' | 'userId'>): Promise<boolean>;
  /** A run of the forge's own CI waits for a person's approval there. Idempotent. */
  holdRun(run: { readonly host: string; readonly runId: number; readonly atMs: number }): Promise<void>;
  isRunHeld(run: { readonly host: string; readonly runId: number }): Promise<boolean>;
  /** It is held no more. Idempotent. */
  releaseRun(run: { readonly host: string; readonly runId: number }): Promise<void>;
  /** Runs that were held before, and that nobody let go. @returns how many */
  forgetRuns(heldBeforeMs: number): Promise<number>;
}
