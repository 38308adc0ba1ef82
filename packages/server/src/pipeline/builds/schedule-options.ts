// What a run of builds is given, and what it gives.
import type { DrvGraph, NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import type { BuildEvent, BuildOutcome } from './build-outcome.ts';
import type { Recorder } from './record.ts';
import type { AttemptDeps } from './run-attempt.ts';
import type { StartGate } from './start-gate.ts';

/** How many builds may run at once. Each at least 1. */
export interface Slots {
  readonly build: number;
  /** Fixed-output derivations: they wait for the network, not for a processor. */
  readonly fixedOutput: number;
}

export type SlotKind = keyof Slots;
export const slotKinds: readonly SlotKind[] = ['build', 'fixedOutput'];

export interface ScheduleOptions extends AttemptDeps {
  /** May grow while the run goes on. Its derivations must be stored in the recorder's database. */
  readonly graph: DrvGraph;
  /** What must be built: neither valid nor to be fetched. Inputs outside of it count as valid. */
  readonly wanted: Iterable<NodeId>;
  /** What the change asks for; among equals these are built first. */
  readonly roots: Iterable<NodeId>;
  readonly recorder: Recorder;
  readonly slots: Slots;
  /** Expected duration of a build, in any unit; 1 for each where absent. */
  readonly durationOf?: (node: NodeId) => number;
  /**
   * Called in order, after what it tells is on disk; `phase` and `log-line` as they come. What it throws ends the run.
   * It may call extend().
   */
  readonly onEvent: (event: BuildEvent) => void;
  /** When it aborts, running builds are ended and all the rest is interrupted(cancelled). */
  readonly signal: AbortSignal;
  /** True: the run goes on waiting for extend() until close(). */
  readonly keepOpen?: boolean;
  /** While it is shut nothing is started. @default always open */
  readonly gate?: StartGate;
  /** Called when nothing of the run runs, and the gate keeps the rest from being started. It may abort the signal. */
  readonly onRanDry?: () => void;
}

export interface ScheduledBuilds {
  /**
   * The outcome of everything that was wanted, when all of it is settled. Also resolves when the run was cancelled.
   * Rejects, after running builds were ended, with what the recorder, the graph or `onEvent` threw.
   */
  readonly finished: Promise<ReadonlyMap<DrvPath, BuildOutcome>>;
  /** Adds derivations to the run; those that are in it already are passed over. Ignored once the run has finished. */
  extend(more: Iterable<NodeId>): void;
  /** No more extend() will come: the run may finish. */
  close(): void;
  /** Null until it is settled in this run. */
  outcomeOf(drv: DrvPath): BuildOutcome | null;
  /**
   * How long what is not settled is expected to take from its start, in the unit of `durationOf`: the longest chain, or
   * the work over the slots.
   */
  expectedLeft(): number;
  /** One sentence on what an unsettled derivation of this run waits for; null for any other. */
  why(drv: DrvPath): string | null;
}

/** A bug here, not in a package: derivations wait for nothing that could ever happen. */
export class ScheduleStuckError extends Error {
  readonly code = 'SCHEDULE_STUCK';
  constructor(remaining: number) {
    super(`${remaining} derivations wait and nothing runs: this is a bug in EkaCI; report it with the log`);
    this.name = 'ScheduleStuckError';
  }
}
