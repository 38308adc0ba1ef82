// One check of the tree: what it is called, and what it gives.

export interface StepResult {
  readonly ok: boolean;
  /** What to read; shown when the step fails. */
  readonly output: string;
  /** A few words for the table. */
  readonly note: string;
  /** Findings that do not fail the check, one a line. */
  readonly warnings?: readonly string[];
}

export interface Step {
  readonly name: string;
  readonly run: (root: string) => Promise<StepResult>;
}
