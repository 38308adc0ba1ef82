// Takes changes from the queue and judges them, one after the other: two at a time would need one scheduler for both,
// or the same derivation could be built twice at once.
import type { ChangeResult, Database, Lease, StoredChange } from '../database/database.ts';
import { errorCodeOf } from '../lib/error-code.ts';

/** Why a judgement was cut short. */
export type StopReason = 'not-wanted' | 'lease-lost' | 'server-ends';

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
  /** `error` is the whole fault of one that has no stable code: a bug. */
  | { readonly kind: 'bug'; readonly change: StoredChange; readonly error: unknown }
  | { readonly kind: 'stopped'; readonly change: StoredChange; readonly reason: StopReason }
  /** The database does not answer; the loop goes on trying. */
  | { readonly kind: 'database-fault'; readonly error: unknown };

export interface JudgeLoopDeps {
  readonly database: Pick<Database, 'changes'>;
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
  /** How long a change stays this server's without being renewed. @default 60000 */
  readonly leaseMs?: number;
  /** How long an idle loop waits before it looks by itself, for changes whose lease ran out. @default 5000 */
  readonly idleMs?: number;
}

export interface JudgeLoop {
  /** There may be something to judge. */
  wake(): void;
  /** These need not be judged any more. */
  cancel(ids: readonly string[]): void;
  /** What is being judged now. */
  current(): StoredChange | null;
  /** Ends the running judgement and queues it again; resolves when the loop has ended. Idempotent. */
  stop(): Promise<void>;
}

const faultOf = (error: unknown): Extract<ChangeResult, { state: 'failed' }> => {
  const code = errorCodeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  const fault = code === '' ? `INTERNAL: this is a bug in EkaCI: ${message}` : `${code}: ${message}`;
  return { state: 'failed', conclusion: 'failure', fault };
};

class Loop implements JudgeLoop {
  readonly #deps: JudgeLoopDeps;
  readonly #leaseMs: number;
  #running: { readonly change: StoredChange; readonly cancel: AbortController } | null = null;
  #stopping = false;
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
    if (this.#running !== null && ids.includes(this.#running.change.id)) {
      this.#running.cancel.abort(new JudgementStopped('not-wanted'));
    }
  }

  current(): StoredChange | null {
    return this.#running?.change ?? null;
  }

  stop(): Promise<void> {
    this.#stopping = true;
    this.#running?.cancel.abort(new JudgementStopped('server-ends'));
    this.wake();
    return this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      try {
        const claimed = await this.#claim();
        if (claimed === null) await this.#rest();
        else await this.#judge(claimed);
      } catch (error) {
        this.#deps.onEvent({ kind: 'database-fault', error });
        await this.#rest();
      }
    }
  }

  #claim(): Promise<StoredChange | null> {
    const nowMs = this.#deps.clock();
    const { owner } = this.#deps;
    return this.#deps.database.changes.claimNext({ owner, nowMs, untilMs: nowMs + this.#leaseMs });
  }

  async #rest(): Promise<void> {
    const timer = setTimeout(() => this.wake(), this.#deps.idleMs ?? 5000);
    await this.#woken.promise;
    clearTimeout(timer);
    this.#woken = Promise.withResolvers();
  }

  async #judge(change: StoredChange): Promise<void> {
    const { onEvent, judge, owner } = this.#deps;
    const lease: Lease = { id: change.id, owner };
    const cancel = new AbortController();
    this.#running = { change, cancel };
    // Stopped between the claim and here: nobody had anything to abort then.
    if (this.#stopping) cancel.abort(new JudgementStopped('server-ends'));
    const renewal = setInterval(() => this.#renew(lease, cancel), this.#leaseMs / 3);
    try {
      onEvent({ kind: 'started', change });
      const result = await judge(change, cancel.signal).catch((error: unknown) =>
        this.#resultOf(change, error, cancel.signal),
      );
      if (result instanceof JudgementStopped) await this.#end(change, lease, result.reason);
      else await this.#finish(change, lease, result);
    } finally {
      clearInterval(renewal);
      this.#running = null;
    }
  }

  /** What an error of a judgement means. The database's are thrown on: the change is judged again when they are over. */
  #resultOf(change: StoredChange, error: unknown, signal: AbortSignal): ChangeResult | JudgementStopped {
    const stop: unknown = signal.reason;
    if (stop instanceof JudgementStopped) return stop;
    const code = errorCodeOf(error);
    if (code.startsWith('DATABASE_')) throw error;
    if (code === '') this.#deps.onEvent({ kind: 'bug', change, error });
    return faultOf(error);
  }

  async #end(change: StoredChange, lease: Lease, reason: StopReason): Promise<void> {
    const { onEvent, database, clock } = this.#deps;
    if (reason === 'server-ends') await database.changes.release(lease, clock());
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
