// Port: everything EkaCI keeps. Asynchronous and grouped by aggregate; each method is one transaction.
//
// What a method's promise resolved is on disk (unless the database was opened with a lower durability); what
// it rejected left nothing behind. Every method may reject with DatabaseError.
import type { PackageKey, RecentDurations } from '@eka-ci/core/build-durations';
import type { BuildCause, BuildState } from '@eka-ci/core/build-state';
import type { DrvNode } from '@eka-ci/core/drv-graph';
import type { EvaluationRecord } from '@eka-ci/core/evaluation';
import type { BuildAnswer } from '@eka-ci/core/flaky';
import type { CommitSha, DrvPath, TreeSha } from '@eka-ci/core/ids';
import type { Approvals } from './approvals.ts';
import type { Changes } from './changes.ts';
import type { CheckRuns } from './check-runs.ts';
import type { Gates } from './gates.ts';
import type { HookRuns } from './hook-runs.ts';
import type { JobsetId } from './jobset-id.ts';
import type { Maintainers } from './maintainers.ts';
import type { Merges, Reviews } from './merges.ts';
import type { Privacy } from './privacy.ts';
import type { Publications } from './publications.ts';
import type { Pushes } from './pushes.ts';
import type { Repositories } from './repositories.ts';
import type { Users } from './users.ts';

export type { Approvals, ApprovedAuthor } from './approvals.ts';
export type {
  AppliedUpdate,
  BranchUpdate,
  ChangeClaim,
  ChangeKind,
  ChangeListing,
  ChangePage,
  ChangeQuery,
  ChangeResult,
  ChangeState,
  Changes,
  ClearedFailures,
  DeliveredUpdate,
  FailuresToClear,
  Lease,
  NewSubmission,
  StoredChange,
  UnsatisfiableChange,
} from './changes.ts';
export type { CheckRunEnd, CheckRuns, NewCheckRun, StoredCheckRun } from './check-runs.ts';
export type { GateClaim, GateCounts, GateKey, Gates, StoredGate, WantedGate } from './gates.ts';
export type {
  HookEnding,
  HookRuns,
  NewHookRun,
  StoredHookRun,
} from './hook-runs.ts';
export type {
  AttrMaintainer,
  MaintainerRequest,
  Maintainers,
} from './maintainers.ts';
export type {
  EndedMergeState,
  Merges,
  MergeTelling,
  NewMerge,
  Reviews,
  StoredMerge,
  StoredReview,
} from './merges.ts';
export type {
  NewPublication,
  Publications,
  StoredPublication,
} from './publications.ts';
export type { PushCounts, Pushes, StoredPush, WantedPush } from './pushes.ts';
export type {
  NewApiToken,
  SignedInUser,
  StoredApiToken,
  StoredUser,
  UserKey,
  Users,
} from './users.ts';

export interface Database {
  readonly meta: Meta;
  readonly derivations: Derivations;
  readonly builds: Builds;
  readonly packages: Packages;
  readonly jobsets: Jobsets;
  readonly changes: Changes;
  readonly deliveries: Deliveries;
  readonly gates: Gates;
  readonly merges: Merges;
  readonly reviews: Reviews;
  readonly maintainers: Maintainers;
  readonly users: Users;
  readonly approvals: Approvals;
  readonly repositories: Repositories;
  readonly hookRuns: HookRuns;
  readonly privacy: Privacy;
  readonly publications: Publications;
  readonly checkRuns: CheckRuns;
  readonly pushes: Pushes;
  /**
   * Writes a copy of everything, as of one moment, while others go on reading and writing. The file must not exist.
   * @throws DatabaseError DATABASE_BACKUP_EXISTS, or as an opening does
   */
  backup(path: string): Promise<void>;
  /** Finishes what was asked before, then closes. Later calls reject with DATABASE_CLOSED. Idempotent. */
  close(): Promise<void>;
}

export interface Meta {
  /** Number of the newest migration that was applied. */
  schemaVersion(): Promise<number>;
}

/** Derivations by path. A path's content never changes, so nothing here is ever overwritten. */
export interface Derivations {
  /**
   * Idempotent by path, in one transaction. Inputs may come before, with, or after what needs them; one that
   * was only named so far is a placeholder. Fastest in batches of thousands, inputs before dependents.
   */
  save(nodes: readonly DrvNode[]): Promise<void>;
  /** Those of `paths` that are stored together with their whole closure: nothing below them need be read. */
  known(paths: Iterable<DrvPath>): Promise<ReadonlySet<DrvPath>>;
  /** Null when the path is unknown or only a placeholder. */
  find(path: DrvPath): Promise<DrvNode | null>;
  /** Those of `paths` that are stored, each once, in no order; placeholders and what they need are left out. */
  findAll(paths: Iterable<DrvPath>): Promise<readonly DrvNode[]>;
  /**
   * Everything the roots need, roots included, each once, inputs before dependents, in batches. Unknown roots
   * and placeholders are left out: whoever adds the rest to a DrvGraph sees them there as not complete.
   */
  closureOf(roots: readonly DrvPath[]): AsyncIterable<readonly DrvNode[]>;
  /** Derivations that have `path` among their direct inputs, each once, in the order they were stored. */
  dependentsOf(path: DrvPath): Promise<readonly DrvPath[]>;
}

/** One step of one derivation's build, as the recorder decided it. */
export interface BuildTransition {
  readonly drv: DrvPath;
  /** Counted from 1. Steps before the first start belong to attempt 1. */
  readonly attempt: number;
  /** The state it leaves; null for a derivation that has no build yet. */
  readonly from: BuildState | null;
  readonly to: BuildState;
  /** Why it came there; a dependency-failed one has its culprit's cause. */
  readonly cause: BuildCause | null;
  /** Milliseconds since 1970, by the server's clock. */
  readonly atMs: number;
  /** The derivation whose failure this one shares; null where it is its own. Must be stored or a placeholder. */
  readonly culprit: DrvPath | null;
  /** For people: the builder's last words, the missing feature. */
  readonly message: string | null;
  /** Where the attempt's log is, relative to the log directory. */
  readonly logFile: string | null;
}

/** A transition that is on disk. */
export interface RecordedTransition extends BuildTransition {
  /** Increases by one from transition to transition, in the order of commits, over all derivations. */
  readonly sequence: number;
}

/** What one attempt has come to so far. */
export interface BuildAttempt {
  readonly attempt: number;
  readonly state: BuildState;
  readonly cause: BuildCause | null;
  /** When it last entered `building`; null before that. */
  readonly startedAtMs: number | null;
  /** When it came to rest (succeeded, failed, dependency-failed, interrupted); null before that. */
  readonly finishedAtMs: number | null;
  readonly culprit: DrvPath | null;
  readonly message: string | null;
  readonly logFile: string | null;
}

/** The newest attempt of a derivation's build. */
export interface StoredBuild extends BuildAttempt {
  readonly drv: DrvPath;
  /** Sequence of its last transition. */
  readonly sequence: number;
  /** True: its failure was cleared, and nothing happened to it since. */
  readonly cleared: boolean;
}

/** Builds: the current state by derivation, and every transition that led there. Only the recorder writes. */
export interface Builds {
  /**
   * All or nothing, in the given order; one derivation may appear more than once. Which transitions are
   * legal is the caller's business.
   * @returns the transitions as recorded, in the same order
   * @throws StaleTransitionError when a `from` is not the stored state
   * @throws DatabaseError DATABASE_UNKNOWN_DERIVATION when a drv or culprit was never saved nor named
   */
  recordTransitions(transitions: readonly BuildTransition[]): Promise<readonly RecordedTransition[]>;
  /** Those of `paths` that have a build. */
  statesOf(paths: Iterable<DrvPath>): Promise<ReadonlyMap<DrvPath, StoredBuild>>;
  /**
   * Attempts that said something of their derivation (it succeeded, or failed) since its failure was last cleared, by
   * derivation and oldest first. Those of `paths` that have none are left out.
   */
  answersOf(paths: Iterable<DrvPath>): Promise<ReadonlyMap<DrvPath, readonly BuildAnswer[]>>;
  /**
   * Builds whose newest attempt succeeded or failed then or later.
   * @param limit of one answer; whoever wants more asks again, `after` the last
   */
  endedSince(
    atMs: number,
    page: { readonly after: StoredBuild | null; readonly limit: number },
  ): Promise<readonly StoredBuild[]>;
  /** Oldest first. */
  attemptsOf(path: DrvPath): Promise<readonly BuildAttempt[]>;
  /** Oldest first. */
  historyOf(path: DrvPath): Promise<readonly RecordedTransition[]>;
  /**
   * What a restarted server takes up again: queued, buildable, building, unsatisfiable, and interrupted by
   * scheduler-death. In the order they were first stored.
   */
  unfinished(): Promise<readonly StoredBuild[]>;
  /** Of these, what a builder was at in their newest attempt: its outputs may be there. */
  startedUnfinished(): Promise<readonly StoredBuild[]>;
  /**
   * Everything that is queued or buildable is interrupted by scheduler-death, in the order it was first stored.
   * @returns how many
   */
  interruptWaiting(atMs: number): Promise<number>;
  /** At most `limit` transitions with a higher sequence, oldest first. 0 starts at the beginning. */
  eventsSince(sequence: number, limit: number): Promise<readonly RecordedTransition[]>;
}

/** What builds of a package were like here, over all its derivations. */
export interface PackageHistory extends PackageKey {
  readonly recentMs: RecentDurations;
  /** How often a derivation of it failed by its own doing, and then was built all the same. */
  readonly flakyBuilds: number;
  /** Milliseconds since 1970; null where it never was. */
  readonly flakyAtMs: number | null;
}

/**
 * Learnt from recordTransitions, in the same transaction: from each derivation that succeeds because it was built. What
 * was fetched, was valid already or failed teaches nothing.
 */
export interface Packages {
  /** Those of `keys` of which something was learnt, each once, in no order. */
  historiesOf(keys: Iterable<PackageKey>): Promise<readonly PackageHistory[]>;
  /** Removes those of which nothing was learnt since. @returns how many */
  forget(updatedBeforeMs: number): Promise<number>;
}

export type { JobsetId } from './jobset-id.ts';

/** The question a jobset answers: two equal keys are never evaluated twice. */
export interface JobsetKey {
  readonly tree: TreeSha;
  /** Only for evaluations that can see the commit (flakes). */
  readonly commit: CommitSha | null;
  /** Hash of the job's definition. */
  readonly jobDefinition: string;
  /** Order does not matter. */
  readonly systems: readonly string[];
  readonly evaluator: string;
  readonly evaluatorVersion: string;
  /** Hash of the settings that change what evaluation gives. */
  readonly settings: string;
}

export interface JobsetCounts {
  readonly derivations: number;
  readonly unavailable: number;
  readonly failed: number;
}

export interface StoredJobset {
  readonly id: JobsetId;
  readonly key: JobsetKey;
  readonly counts: JobsetCounts;
  readonly completedAtMs: number;
}

export interface NewJobset {
  readonly key: JobsetKey;
  /** In any order and any batch size; memory stays flat if the source's does. */
  readonly records: AsyncIterable<readonly EvaluationRecord[]> | Iterable<readonly EvaluationRecord[]>;
  readonly completedAtMs: number;
}

/** Complete jobsets by the question they answer. A half-written one is never seen. */
export interface Jobsets {
  /**
   * Reads `records` to its end, then makes the jobset visible. When `records` throws, nothing is kept and
   * that error is thrown on. When a jobset with that key exists by then, it is kept and returned instead.
   */
  saveComplete(jobset: NewJobset): Promise<StoredJobset>;
  find(key: JobsetKey): Promise<StoredJobset | null>;
  /**
   * In the order they were given, in batches.
   * @throws DatabaseError DATABASE_ROW_GONE when the jobset does not exist or is removed meanwhile
   */
  records(id: JobsetId): AsyncIterable<readonly EvaluationRecord[]>;
  /** Idempotent. */
  remove(id: JobsetId): Promise<void>;
  /** Removes those that were completed before. @returns how many */
  forget(completedBeforeMs: number): Promise<number>;
}

export interface Delivery {
  /** Names what happened, once and for all: forge, repository, the forge's own delivery id. */
  readonly key: string;
  /** JSON text; parsed by whoever knows its schema. */
  readonly payload: string;
  readonly receivedAtMs: number;
}

/** Events of forges, kept from the moment they are acknowledged. */
export interface Deliveries {
  /**
   * In one transaction. A key that is stored already keeps its first payload.
   * @returns by index: `new`, `unfinished` (stored before, to be processed again), `done` (to be ignored)
   */
  receive(deliveries: readonly Delivery[]): Promise<readonly ('new' | 'unfinished' | 'done')[]>;
  /**
   * Oldest first: what a restarted server processes.
   * @param after only what came after the delivery of this key, also where that one is done by now
   */
  unfinished(limit: number, after?: string): Promise<readonly Delivery[]>;
  /** Idempotent. Many at once are one transaction. */
  finish(keys: string | readonly string[], doneAtMs: number): Promise<void>;
  /** Removes those that were done before. A repeat of one would count as new: keep them longer than forges repeat. */
  forget(doneBeforeMs: number): Promise<number>;
}
