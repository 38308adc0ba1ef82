// What was built while somebody asked the store what it lacks: its answer may be older than that.
import type { DrvPath } from '@eka-ci/core/ids';
import type { BuildOutcome } from './build-outcome.ts';

/** What succeeded since it was opened. To be closed by whoever opened it. */
export interface SuccessMemory {
  /** The outcome of each, as it was told. */
  readonly outcomes: ReadonlyMap<DrvPath, BuildOutcome>;
  /** Nothing more is kept. Idempotent. */
  close(): void;
}

/** All that are open. */
export class SuccessMemories {
  readonly #open = new Set<Map<DrvPath, BuildOutcome>>();

  open(): SuccessMemory {
    const outcomes = new Map<DrvPath, BuildOutcome>();
    this.#open.add(outcomes);
    return { outcomes, close: () => void this.#open.delete(outcomes) };
  }

  /** Once it is on disk. */
  keep(outcome: BuildOutcome): void {
    for (const outcomes of this.#open) outcomes.set(outcome.drv, outcome);
  }
}
