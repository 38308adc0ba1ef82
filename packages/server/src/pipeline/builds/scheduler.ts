// The one scheduler of a server: whoever wants something built asks here, and what several want is built once.
import type { BuildClass } from '@eka-ci/core/build-order';
import type { DrvGraph, NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import type { BuilderPool } from '../../builder/builder-pool.ts';
import type { ChangeListing, Database, RecordedTransition } from '../../database/database.ts';
import type { Breath } from '../../lib/breathe.ts';
import type { BuildEvent, BuildOutcome } from './build-outcome.ts';
import type { KnownFailure } from './known-failures.ts';
import type { SlotsInUse } from './placement.ts';
import type { StepToRecord } from './record.ts';
import type { AttemptDeps } from './run-attempt.ts';
import type { StartGate } from './start-gate.ts';
import type { SuccessMemory } from './success-memory.ts';

/** What somebody wants built. */
export interface BuildDemand {
  readonly class: BuildClass;
  /** Milliseconds since 1970: of what it is for, so that a change which is judged again does not lose its place. */
  readonly arrivedAtMs: number;
  /** Read while the demand is taken up; its derivations must be stored in the recorder's database. */
  readonly graph: DrvGraph;
  /** What must be built: neither valid nor to be fetched. Inputs outside of it count as valid. */
  readonly wanted: ReadonlySet<NodeId>;
  /**
   * Opened before anybody asked what is to be built: of `wanted`, what has succeeded since is not built again, and told
   * as it was. Closed when the demand is taken up. @default the answer is as of now
   */
  readonly builtSince?: SuccessMemory;
  /** Seconds; asked for each of `wanted`. @default 1 */
  readonly durationOf?: (node: NodeId) => number;
  /** The change it is for, which transitions are told with; null for none. */
  readonly change: ChangeListing | null;
  /** Which of the failures that are known are not tried again. @default every-failure */
  readonly believes?: 'every-failure' | 'repeated-failures' | 'no-failure';
  /**
   * Called in order, after what it tells is on disk; `phase` as it comes. What it throws ends the demand.
   */
  readonly onEvent: (event: BuildEvent) => void;
  /** When it aborts, what nobody else wants is ended, and has ended when `finished` settles. */
  readonly signal: AbortSignal;
}

export interface DemandedBuilds {
  /**
   * The outcome of everything that was wanted, when all of it is settled. Also resolves when it was aborted, then with
   * what is known. Rejects with what the recorder, the graph or `onEvent` threw.
   */
  readonly finished: Promise<ReadonlyMap<DrvPath, BuildOutcome>>;
  /** Seconds until its last build is expected to end, with what is served before it. */
  expectedLeftS(): number;
}

export interface ActiveBuild {
  readonly drv: DrvPath;
  readonly attempt: number;
  readonly builder: string;
  /** What the builder printed last as its phase: any text. */
  readonly phase: string | null;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
}

/** What is wanted now, as whoever asks sees it. */
export interface SchedulerView {
  /** Oldest first. */
  active(): readonly ActiveBuild[];
  /** All that is wanted and does not run, in the order in which it was asked for, inputs before dependents. */
  queued(start?: number, limit?: number): readonly DrvPath[];
  /** How many those are, without their names: there may be hundreds of thousands. */
  queuedCount(): number;
  /** One sentence on what a derivation waits for that is wanted; null for any other. */
  why(drv: DrvPath): string | null;
  /** Whether anything is wanted. */
  isBuilding(): boolean;
  slotsInUse(builder: string): SlotsInUse;
}

export interface Scheduler extends SchedulerView {
  demand(asked: BuildDemand): DemandedBuilds;
  /** To be opened before the store is asked what it lacks, and handed to the demand that comes of the answer. */
  rememberSuccesses(): SuccessMemory;
  /** Enqueues derivations that nobody wants built now and records these steps; those of others are left out. */
  recordAtRest(steps: readonly StepToRecord[]): Promise<readonly RecordedTransition[]>;
  /** Looks for what could run and does not, and mends it. @returns how many derivations were found so */
  sweep(): Promise<number>;
  /** Resolves when nothing runs any more; every demand must have been aborted before. Idempotent. */
  stop(): Promise<void>;
}

export interface SchedulerDeps extends Pick<AttemptDeps, 'limits' | 'logs'> {
  readonly pool: BuilderPool;
  readonly database: Pick<Database, 'builds'>;
  /** Which of these are not to be tried again. @throws DatabaseError */
  readonly findKnownFailures: (
    graph: DrvGraph,
    wanted: ReadonlySet<NodeId>,
  ) => Promise<ReadonlyMap<NodeId, KnownFailure>>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** While it is shut nothing is started. @default always open */
  readonly gate?: StartGate;
  /** Called when nothing runs, and the gate keeps what is ready from being started. */
  readonly onRanDry?: () => void;
  /** Told of transitions that are on disk, with the changes that want each. Must not throw. */
  readonly onRecorded?: (
    transitions: readonly RecordedTransition[],
    changesOf: (drv: DrvPath) => readonly ChangeListing[],
  ) => void;
  /** Something could run and did not: a bug here, mended. */
  readonly onRepaired?: (found: readonly DrvPath[]) => void;
  /** When a long turn lets the others of the event loop have theirs. @default createBreath() */
  readonly breath?: Breath;
  /** Settled derivations that the graph may hold before it is made anew. @default 100000 */
  readonly keptNodes?: number;
}
