// Takes changes from the queue and judges them, some at a time: they evaluate one after the other, and what they want
// built is one scheduler's.
import type { ChangeKind, ChangeResult, Database, Lease, StoredChange } from '../database/database.ts';
import { errorCodeOf } from '../lib/error-code.ts';
import { explainSystemError } from '../lib/system-error.ts';
import { retryWaitOf } from './passing-faults.ts';

/** Why a judgement was cut short. */
export type StopReason = 'not-wanted' | 'lease-lost' | 'server-ends' | 'draining';

/** Judged again when its turn comes. */
const queuedAgain: readonly StopReason[] = ['server-ends', 'draining'];

/** The reason that a cut judgement's signal carries. */
export class JudgementStopped extends Error {
  readonly code = 'JUDGEMENT_STOPPED';
  readonly reason: StopReason;
  constructor(reason: StopReason) {
    super(`the judgement was stopped (${reason})`);
    this.name = 'JudgementStopped';
    this.reason = reason;
  }
}

export type JudgeEvent =
  | { readonly kind: 'started'; readonly change: StoredChange }
  | { readonly kind: 'finished'; readonly change: StoredChange; readonly result: ChangeResult }
  /** It failed by a fault that may pass. Milliseconds since 1970. */
  | {
      readonly kind: 'retries';
      readonly change: StoredChange;
      readonly fault: string;
      readonly retryAtMs: number;
    }
  /** `error` is the whole fault of one that has no stable code: a bug. */
  | { readonly kind: 'bug'; readonly change: StoredChange; readonly error: unknown }
  | { readonly kind: 'stopped'; readonly change: StoredChange; readonly reason: StopReason }
  /** The database does not answer; the loop goes on trying. */
  | { readonly kind: 'database-fault'; readonly error: unknown };

export interface JudgeLoopDeps {
  readonly database: Pick<Database, 'changes'>;
  /**
   * Whether a change can be judged now. False: what it needs is on its way, its repository is among those on hold, and
   * wake() is called when that ends. @throws as `judge` does
   */
  readonly prepare?: (change: StoredChange, signal: AbortSignal) => Promise<boolean>;
  /** Repositories whose changes wait for such. @default none */
  readonly onHold?: () => readonly string[];
  /**
   * Judges one change. Everything it starts has ended when it settles.
   * @throws what the pipeline throws; the signal's reason when it aborts
   */
  readonly judge: (
    change: StoredChange,
    signal: AbortSignal,
  ) => Promise<Extract<ChangeResult, { state: 'judged' }>>;
  /** This server's own name; the same after its restart. */
  readonly owner: string;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly onEvent: (event: JudgeEvent) => void;
  /**
   * How many are judged at once. Baselines have seats of their own: whoever waits for a change does not wait for them. So
   * have groups of merge queues: all that is queued behind one waits for it.
   * @default 16 changes, 2 baselines, 4 groups
   */
  readonly seats?: { readonly changes: number; readonly baselines: number; readonly groups?: number };
  /** How long a change stays this server's without being renewed. @default 60000 */
  readonly leaseMs?: number;
  /**
   * How long an idle loop waits before it looks by itself: for changes that are due for another try, and those whose
   * lease ran out. @default 5000
   */
  readonly idleMs?: number;
}

export interface JudgeLoop {
  /** There may be something to judge. */
  wake(): void;
  /** These need not be judged any more. */
  cancel(ids: readonly string[]): void;
  /** What is being judged now, in the order in which it was begun. */
  current(): readonly StoredChange[];
  /** Takes no more changes until resume(); what is being judged goes on. */
  pause(): void;
  resume(): void;
  /** Where it is paused: ends the running judgements and queues them again. */
  release(): void;
  /** Ends the running judgements and queues them again; resolves when the loop has ended. Idempotent. */
  stop(): Promise<void>;
}

const faultOf = (error: unknown): string => {
  const code = errorCodeOf(error);
  const message = explainSystemError(error) ?? (error instanceof Error ? error.message : String(error));
  return code === '' ? `INTERNAL: this is a bug in EkaCI: ${message}` : `${code}: ${message}`;
};

/** What a judgement came to, before it is kept. */
type Ending =
  | ChangeResult
  | { readonly state: 'on-hold' }
  | { readonly state: 'retries'; readonly fault: string; readonly retryAtMs: number }
  | JudgementStopped;

const defaultGroups = 4;
const defaultSeats = { changes: 16, baselines: 2, groups: defaultGroups };
const defaultIdleMs = 5000;

interface Running {
  readonly change: StoredChange;
  readonly cancel: AbortController;
  /** It came from the queue once more: its lease ran out, or it was cancelled and is wanted again. */
  isClaimedAgain: boolean;
}

class Loop implements JudgeLoop {
  readonly #deps: JudgeLoopDeps;
  readonly #leaseMs: number;
  /** By the change's id. */
  readonly #running = new Map<string, Running>();
  readonly #judgements = new Set<Promise<void>>();
  /** Leases of judgements that a fault of the database ended, and when they may be let go: by performance.now(). */
  readonly #faulted = new Map<string, number>();
  #stopping = false;
  #paused = false;
  #woken = Promise.withResolvers<void>();
  readonly #ended: Promise<void>;

  constructor(deps: JudgeLoopDeps) {
    this.#deps = deps;
    this.#leaseMs = deps.leaseMs ?? 60_000;
    this.#ended = this.#run();
  }

  wake(): void {
    this.#woken.resolve();
  }

  cancel(ids: readonly string[]): void {
    for (const id of ids) this.#running.get(id)?.cancel.abort(new JudgementStopped('not-wanted'));
  }

  current(): readonly StoredChange[] {
    return Array.from(this.#running.values(), ({ change }) => change);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.wake();
  }

  release(): void {
    if (this.#paused) this.#stopAll('draining');
  }

  stop(): Promise<void> {
    this.#stopping = true;
    this.#stopAll('server-ends');
    this.wake();
    return this.#ended;
  }

  #stopAll(reason: StopReason): void {
    for (const { cancel } of this.#running.values()) cancel.abort(new JudgementStopped(reason));
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      try {
        const claimed = this.#paused || this.#stopping ? null : await this.#claim();
        if (claimed === null) await this.#rest();
        else this.#begin(claimed);
      } catch (error) {
        this.#deps.onEvent({ kind: 'database-fault', error });
        await this.#rest();
      }
    }
    await Promise.all(this.#judgements);
  }

  /** Null where every seat is taken, or nothing waits. */
  async #claim(): Promise<StoredChange | null> {
    const nowMs = this.#deps.clock();
    const { owner, onHold, seats = defaultSeats, database } = this.#deps;
    const current = this.current();
    const baselines = current.filter(({ kind }) => kind === 'baseline').length;
    const groups = current.filter(({ kind }) => kind === 'group').length;
    const changes = current.length - baselines - groups;
    const kinds: ChangeKind[] = [
      ...(groups < (seats.groups ?? defaultGroups) ? (['group'] as const) : []),
      ...(changes < seats.changes ? (['branch', 'offered', 'submitted'] as const) : []),
      ...(baselines < seats.baselines ? (['baseline'] as const) : []),
    ];
    if (kinds.length === 0) return null;
    await this.#releaseFaulted(nowMs);
    const claim = { owner, nowMs, untilMs: nowMs + this.#leaseMs, notOf: onHold?.() ?? [], kinds };
    return database.changes.claimNext(claim);
  }

  async #rest(): Promise<void> {
    const timer = setTimeout(() => this.wake(), this.#deps.idleMs ?? defaultIdleMs);
    await this.#woken.promise;
    clearTimeout(timer);
    this.#woken = Promise.withResolvers();
  }

  /** Nobody need wait for the end of a lease that nobody uses; nor is one that fails each time to be tried without a rest. */
  async #releaseFaulted(nowMs: number): Promise<void> {
    const { database, owner } = this.#deps;
    for (const [id, atMs] of this.#faulted) {
      if (performance.now() < atMs) continue;
      if (!this.#running.has(id)) await database.changes.release({ id, owner }, nowMs);
      this.#faulted.delete(id);
    }
  }

  #begin(change: StoredChange): void {
    const running = this.#running.get(change.id);
    if (running !== undefined) {
      // Where its lease ran out under it, as where this process stood still, the claim has renewed it.
      running.isClaimedAgain = true;
      return;
    }
    const judgement = this.#judge(change)
      .catch((error: unknown) => {
        this.#faulted.set(change.id, performance.now() + (this.#deps.idleMs ?? defaultIdleMs));
        this.#deps.onEvent({ kind: 'database-fault', error });
      })
      .finally(() => {
        this.#judgements.delete(judgement);
        this.wake();
      });
    this.#judgements.add(judgement);
  }

  async #judge(change: StoredChange): Promise<void> {
    const { owner } = this.#deps;
    const lease: Lease = { id: change.id, owner };
    const cancel = new AbortController();
    const running: Running = { change, cancel, isClaimedAgain: false };
    this.#running.set(change.id, running);
    // Stopped or paused between the claim and here: nobody had anything to abort then.
    if (this.#stopping) cancel.abort(new JudgementStopped('server-ends'));
    else if (this.#paused) cancel.abort(new JudgementStopped('draining'));
    const renewal = setInterval(() => this.#renew(lease, cancel), this.#leaseMs / 3);
    try {
      const ending = await this.#conclude(change, cancel.signal).catch((error: unknown) =>
        this.#endingOf(change, error, cancel.signal),
      );
      const stop: unknown = cancel.signal.reason;
      // What it came to after it was ended is no answer to who wants it again.
      const isOld = running.isClaimedAgain && stop instanceof JudgementStopped;
      await this.#keep(change, lease, isOld ? stop : ending);
    } finally {
      clearInterval(renewal);
      this.#running.delete(change.id);
    }
    // Nobody has begun what was claimed meanwhile. Where it is at rest by now nothing is released.
    if (running.isClaimedAgain) await this.#deps.database.changes.release(lease, this.#deps.clock());
  }

  async #conclude(change: StoredChange, signal: AbortSignal): Promise<Ending> {
    const { onEvent, judge, prepare } = this.#deps;
    signal.throwIfAborted();
    if (prepare !== undefined && !(await prepare(change, signal))) return { state: 'on-hold' };
    onEvent({ kind: 'started', change });
    return judge(change, signal);
  }

  /** What an error of a judgement means. The database's are thrown on: the change is judged again when they are over. */
  #endingOf(change: StoredChange, error: unknown, signal: AbortSignal): Ending {
    const stop: unknown = signal.reason;
    if (stop instanceof JudgementStopped) return stop;
    const code = errorCodeOf(error);
    if (code.startsWith('DATABASE_')) throw error;
    const fault = faultOf(error);
    const nowMs = this.#deps.clock();
    const waitMs = retryWaitOf(error, change.faults, nowMs);
    if (waitMs !== null) return { state: 'retries', fault, retryAtMs: nowMs + waitMs };
    if (code === '') this.#deps.onEvent({ kind: 'bug', change, error });
    return { state: 'failed', conclusion: 'failure', fault };
  }

  async #keep(change: StoredChange, lease: Lease, ending: Ending): Promise<void> {
    const { database, clock } = this.#deps;
    if (ending instanceof JudgementStopped) return this.#end(change, lease, ending.reason);
    switch (ending.state) {
      case 'on-hold':
        await database.changes.release(lease, clock());
        return;
      case 'retries':
        return this.#retryLater(change, lease, ending);
      case 'judged':
      case 'failed':
        return this.#finish(change, lease, ending);
    }
  }

  async #retryLater(
    change: StoredChange,
    lease: Lease,
    { fault, retryAtMs }: Extract<Ending, { state: 'retries' }>,
  ): Promise<void> {
    const { onEvent, database, clock } = this.#deps;
    const kept = await database.changes.retryLater(lease, { fault, retryAtMs, atMs: clock() });
    onEvent(
      kept
        ? { kind: 'retries', change, fault, retryAtMs }
        : { kind: 'stopped', change, reason: 'lease-lost' },
    );
  }

  async #end(change: StoredChange, lease: Lease, reason: StopReason): Promise<void> {
    const { onEvent, database, clock } = this.#deps;
    if (queuedAgain.includes(reason)) await database.changes.release(lease, clock());
    onEvent({ kind: 'stopped', change, reason });
  }

  async #finish(change: StoredChange, lease: Lease, result: ChangeResult): Promise<void> {
    const { onEvent, database, clock } = this.#deps;
    const kept = await database.changes.finish(lease, result, clock());
    onEvent(kept ? { kind: 'finished', change, result } : { kind: 'stopped', change, reason: 'lease-lost' });
  }

  #renew(lease: Lease, cancel: AbortController): void {
    const { database, clock, onEvent } = this.#deps;
    database.changes.renew(lease, clock() + this.#leaseMs).then(
      (held) => {
        if (!held) cancel.abort(new JudgementStopped('lease-lost'));
      },
      // The lease outlives a few of these; if it does not, the next claim finds the change again.
      (error: unknown) => onEvent({ kind: 'database-fault', error }),
    );
  }
}

/** Starts judging at once. What the server's earlier life left behind must be released before. */
export const startJudgeLoop = (deps: JudgeLoopDeps): JudgeLoop => new Loop(deps);
