// Only writer of build states: whoever reads a row may trust that it came here by a legal step.
import { type BuildCause, type BuildState, type BuildStep, nextState } from '@eka-ci/core/build-state';
import type { DrvPath } from '@eka-ci/core/ids';
import type { BuildTransition, Database, RecordedTransition } from '../../database/database.ts';

/** One step to be recorded; which state it leaves and leads to is for the recorder to know. */
export interface StepToRecord {
  readonly drv: DrvPath;
  readonly step: BuildStep;
  readonly cause: BuildCause | null;
  readonly culprit: DrvPath | null;
  readonly message: string | null;
  /** Relative to the log directory. */
  readonly logFile: string | null;
}

/** Calls are carried out one after the other. Each is one transaction, and what it resolved is on disk. */
export interface Recorder {
  /**
   * Somebody wants these built: those that are new or at rest become queued, in a new attempt where they had one. What
   * a server that died left buildable or building is first interrupted by its death. Derivations must be stored.
   * No other scheduler may be at work on any of them.
   */
  enqueue(drvs: Iterable<DrvPath>): Promise<readonly RecordedTransition[]>;
  /** Reads where these are, so that steps can be recorded from there without anybody wanting them. */
  load(drvs: Iterable<DrvPath>): Promise<void>;
  /**
   * All or nothing, in the given order, on derivations that were enqueued or loaded here.
   * @throws IllegalBuildStepError when a step is not legal; nothing is recorded then
   * @throws DatabaseError, StaleTransitionError as the database does; nothing is recorded then
   */
  record(steps: readonly StepToRecord[]): Promise<readonly RecordedTransition[]>;
  /**
   * Whatever waits for its inputs or a slot is interrupted by the death of the server that queued it. Nothing else may
   * be at work, and what was enqueued or loaded before must be so again. @returns how many
   */
  interruptWaiting(): Promise<number>;
  /** These, or all of them, are read anew when they are enqueued or loaded the next time. */
  forget(drvs: Iterable<DrvPath> | null): void;
  /** The number of the attempt the next start belongs to, or that runs, or that was the last; counted from 1. */
  attemptOf(drv: DrvPath): number;
}

export interface RecorderDeps {
  readonly database: Pick<Database, 'builds'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Told of transitions that are on disk, in their order, before the caller is. Must not throw. */
  readonly onRecorded?: (transitions: readonly RecordedTransition[]) => void;
}

interface Known {
  readonly state: BuildState | null;
  readonly attempt: number;
  /** True where the attempt was started, so that another start needs another number. */
  readonly used: boolean;
}

const untouched: Known = { state: null, attempt: 1, used: false };
const maxMessage = 4000;

/** What became of the builds of a server that was stopped or died. */
export const diedMessage = 'the server was stopped or died while this build was under way';

const stepForEnqueue = (drv: DrvPath, step: BuildStep, cause: BuildCause | null): StepToRecord => {
  const message = cause === null ? null : diedMessage;
  return { drv, step, cause, culprit: null, message, logFile: null };
};

/** The steps that make a build in this state queued. */
const stepsToQueue = (drv: DrvPath, state: BuildState | null): StepToRecord[] => {
  const enqueue = stepForEnqueue(drv, 'enqueue', null);
  if (state === 'queued') return [];
  if (state === 'buildable' || state === 'building') {
    return [stepForEnqueue(drv, 'interrupt', 'scheduler-death'), enqueue];
  }
  return [enqueue];
};

const advance = (before: Known, step: BuildStep): Known & { readonly state: BuildState } => {
  const state = nextState(before.state, step);
  const fresh = (step === 'enqueue' || step === 'retry') && before.used;
  if (fresh) return { state, attempt: before.attempt + 1, used: false };
  return { state, attempt: before.attempt, used: before.used || step === 'start' };
};

class DatabaseRecorder implements Recorder {
  readonly #deps: RecorderDeps;
  readonly #known = new Map<DrvPath, Known>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(deps: RecorderDeps) {
    this.#deps = deps;
  }

  enqueue(drvs: Iterable<DrvPath>): Promise<readonly RecordedTransition[]> {
    const wanted = new Set(drvs);
    return this.#inTurn(async () => {
      await this.#read(wanted);
      return this.#write([...wanted].flatMap((drv) => stepsToQueue(drv, this.#stateOf(drv).state)));
    });
  }

  load(drvs: Iterable<DrvPath>): Promise<void> {
    const wanted = new Set(drvs);
    return this.#inTurn(() => this.#read(wanted));
  }

  record(steps: readonly StepToRecord[]): Promise<readonly RecordedTransition[]> {
    return this.#inTurn(() => this.#write(steps));
  }

  interruptWaiting(): Promise<number> {
    return this.#inTurn(() => {
      this.#known.clear();
      return this.#deps.database.builds.interruptWaiting(this.#deps.clock());
    });
  }

  forget(drvs: Iterable<DrvPath> | null): void {
    if (drvs === null) this.#known.clear();
    else for (const drv of drvs) this.#known.delete(drv);
  }

  attemptOf(drv: DrvPath): number {
    return this.#stateOf(drv).attempt;
  }

  #stateOf(drv: DrvPath): Known {
    return this.#known.get(drv) ?? untouched;
  }

  async #read(drvs: ReadonlySet<DrvPath>): Promise<void> {
    const stored = await this.#deps.database.builds.statesOf(drvs);
    for (const drv of drvs) {
      const build = stored.get(drv);
      const used = build !== undefined && (build.startedAtMs !== null || build.state === 'building');
      this.#known.set(drv, build === undefined ? untouched : { ...build, used });
    }
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(work);
    // The next call does not care how this one ended; its own caller is told.
    this.#last = result.catch(() => {});
    return result;
  }

  async #write(steps: readonly StepToRecord[]): Promise<readonly RecordedTransition[]> {
    if (steps.length === 0) return [];
    const after = new Map<DrvPath, Known>();
    const atMs = this.#deps.clock();
    const transitions = steps.map((step): BuildTransition => {
      const before = after.get(step.drv) ?? this.#stateOf(step.drv);
      const known = advance(before, step.step);
      after.set(step.drv, known);
      const { drv, cause, culprit, logFile } = step;
      const message = step.message === null ? null : step.message.slice(0, maxMessage);
      const { attempt, state: to } = known;
      return { drv, attempt, from: before.state, to, cause, atMs, culprit, message, logFile };
    });
    const recorded = await this.#deps.database.builds.recordTransitions(transitions);
    for (const [drv, known] of after) this.#known.set(drv, known);
    this.#deps.onRecorded?.(recorded);
    return recorded;
  }
}

export const createRecorder = (deps: RecorderDeps): Recorder => new DatabaseRecorder(deps);
