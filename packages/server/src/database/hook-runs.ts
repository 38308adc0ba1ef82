// The port's hook runs: which hook is to run after which build, and what became of it. Part of database.ts.
import type { CommitSha, DrvPath } from '@eka-ci/core/ids';

/**
 * waiting → running → succeeded (status 0), failed (another status, or a signal), timed-out, or interrupted (the server
 * ended meanwhile: what it had done by then nobody knows, and it is not repeated). waiting → not-started: it never ran, for
 * its program, its credentials or its build are not to be had, or the server knows no such hook any more.
 */
export type HookRunState =
  | 'waiting'
  | 'running'
  | 'succeeded'
  | 'failed'
  | 'timed-out'
  | 'interrupted'
  | 'not-started';
export type EndedHookState = Exclude<HookRunState, 'waiting' | 'running'>;

/** On whose behalf a hook runs. */
export interface HookCause {
  /** `owner/repo`. Read again, it is as that repository is called by then. */
  readonly repository: string;
  /** Where the build is, as permissions see it: a branch, or `pull/` and a number. */
  readonly branch: string;
  readonly job: string;
  /** The head of what was judged. */
  readonly commitSha: CommitSha;
  readonly changeId: string;
}

export interface NewHookRun extends HookCause {
  /** As ekaci.toml calls it. */
  readonly hook: string;
  readonly drv: DrvPath;
  /** Of the build. */
  readonly attempt: number;
  readonly buildState: 'succeeded' | 'failed';
}

export interface StoredHookRun extends NewHookRun {
  /** In the order in which they were wanted. */
  readonly id: number;
  readonly state: HookRunState;
  /** How often it could not be begun. */
  readonly tries: number;
  /** Milliseconds since 1970: it is not begun before; 0: at once. */
  readonly nextAtMs: number;
  /** Milliseconds since 1970. */
  readonly wantedAtMs: number;
  /** Null until it begins. */
  readonly startedAtMs: number | null;
  /** Null until it ends. */
  readonly finishedAtMs: number | null;
  /** Of its program; null where it has none. */
  readonly exitStatus: number | null;
  /** For people: what is wrong with it; null where nothing is. */
  readonly message: string | null;
  /** Relative to the log folder; null until it begins. */
  readonly logFile: string | null;
}

export interface HookEnding {
  readonly state: EndedHookState;
  readonly exitStatus: number | null;
  readonly message: string | null;
  readonly atMs: number;
}

export interface HookRuns {
  /** Idempotent by hook, derivation and attempt: what was wanted before is left as it is. @returns how many are new */
  want(runs: readonly NewHookRun[], atMs: number): Promise<number>;
  /** Those that wait and are due, oldest first. */
  due(nowMs: number, limit: number): Promise<readonly StoredHookRun[]>;
  /** When the next of those that wait is due, in milliseconds since 1970; null where none waits. */
  nextDueMs(): Promise<number | null>;
  /** waiting → running, on disk before anything of it runs. False: it does not wait any more. */
  begin(id: number, began: { readonly logFile: string; readonly atMs: number }): Promise<boolean>;
  /** waiting → waiting, with one more try. Nothing where it does not wait. */
  putOff(id: number, why: { readonly message: string; readonly nextAtMs: number }): Promise<void>;
  /** waiting or running → its end. Nothing where it has ended. */
  end(id: number, ending: HookEnding): Promise<void>;
  /** What a server that died was at: running → interrupted. @returns them, as they are then */
  interruptRunning(atMs: number): Promise<readonly StoredHookRun[]>;
  /** Of one derivation, newest first. */
  of(drv: DrvPath): Promise<readonly StoredHookRun[]>;
  /** How many wait, and how many run. */
  counts(): Promise<{ readonly waiting: number; readonly running: number }>;
  /** Those that ended before. @returns how many */
  forget(beforeMs: number): Promise<number>;
}
