// Merges that people asked for: each is kept, pinned to the head that was asked for, until that head is green.
import { type BackOff, pauseAfter } from '@eka-ci/core/back-off';
import type { StoredMerge } from '../../database/database.ts';
import type { ForgeUser } from '../../forge/forge-event.ts';
import type { HostedForge } from '../../forge/hosted-forge.ts';
import type { QueueEntry } from '../../forge/hosted-merging.ts';
import type { Later } from '../../lib/later.ts';
import { hostedOf } from '../change-request.ts';
import { faultText, mayPass, restAfter } from '../hosted/hosted-fault.ts';
import { type AskedMerge, type AskedMergeAnswer, admitMerge } from './admit-merge.ts';
import { type CarryOutDeps, carryOut, type MergeEvent, type MergeWork, tellEnd } from './carry-out.ts';
import { faultTelling } from './merge-words.ts';
import { createTurns } from './turns.ts';

export type { AskedMerge, AskedMergeAnswer } from './admit-merge.ts';

type Person = Pick<ForgeUser, 'id' | 'login'>;

export interface WithdrawnMerge {
  readonly repository: string;
  readonly number: number;
  readonly by: Person;
  /** True: whoever asked for it. */
  readonly mayAlways: boolean;
}

export type WithdrawnAnswer =
  | 'withdrawn'
  | 'not-theirs'
  | 'nothing-pending'
  /** The forge's queue does not let it go. */
  | 'not-let-go';

export interface MergeDesk {
  /**
   * Keeps that this head is to be merged once it is green; a later one replaces it. Idempotent by commentId. The right
   * is the caller's to check. @throws HostedForgeFault, DatabaseError
   */
  request(asked: AskedMerge, signal: AbortSignal): Promise<AskedMergeAnswer>;
  /**
   * Silent where nothing is pending. What is in the forge's own queue is taken out there.
   * @throws HostedForgeFault, DatabaseError
   */
  withdraw(asked: WithdrawnMerge, signal: AbortSignal): Promise<WithdrawnAnswer>;
  /** Something of a change was judged, moved or closed. */
  wake(): void;
}

export type MergeDeskEvent =
  | MergeEvent
  /** Tried again, not before `pauseMs` have passed. */
  | {
      readonly kind: 'put-off';
      readonly merge: StoredMerge;
      readonly error: unknown;
      readonly pauseMs: number;
    }
  | { readonly kind: 'given-up'; readonly merge: StoredMerge; readonly error: unknown }
  | { readonly kind: 'database-fault'; readonly error: unknown };

export interface MergeDeskDeps extends Omit<CarryOutDeps, 'onEvent'> {
  readonly forges: readonly HostedForge[];
  /** Must not throw. */
  readonly onEvent: (event: MergeDeskEvent) => void;
  readonly later: Later;
  /** At least 0 and less than 1. */
  readonly random: () => number;
}

export interface RunningMergeDesk extends MergeDesk {
  /** Begins, with what an earlier life left; until then what is asked for is only kept. */
  start(): void;
  /** Begins nothing more; resolves when nothing runs. What is not done is taken up by the next start. Idempotent. */
  stop(): Promise<void>;
}

const backOff: BackOff = { firstMs: 2000, longestMs: 10 * 60_000 };
/** Until the webhook is there that the forge was faster than. */
const lookAgainMs = 10_000;
/** Between two questions of what the forge's queue has of a merge. */
const queueLookMs = 15_000;
/** An idle desk looks by itself all the same: one that was not woken would be asleep for ever. */
const idleMs = 60_000;
/** Each holds a request to a forge. */
const mergesAtOnce = 4;

const turnOf = ({ repository, number }: Pick<StoredMerge, 'repository' | 'number'>): string =>
  JSON.stringify([repository, number]);

class Desk implements RunningMergeDesk {
  readonly #deps: MergeDeskDeps;
  readonly #turns = createTurns();
  readonly #ending = new AbortController();
  /** When the forge's queue was last looked into for a merge, in milliseconds since 1970. */
  readonly #queueLooks = new Map<number, number>();
  #phase: 'new' | 'started' | 'stopped' = 'new';
  #isWoken = false;
  #round: Promise<void> | null = null;
  #endPause: (() => void) | null = null;

  constructor(deps: MergeDeskDeps) {
    this.#deps = deps;
  }

  start(): void {
    if (this.#phase !== 'new') return;
    this.#phase = 'started';
    this.wake();
  }

  wake(): void {
    this.#isWoken = true;
    if (this.#phase !== 'started' || this.#round !== null) return;
    this.#endPause?.();
    this.#endPause = null;
    this.#round = this.#rounds().finally(() => {
      this.#round = null;
    });
  }

  async stop(): Promise<void> {
    this.#phase = 'stopped';
    this.#endPause?.();
    this.#endPause = null;
    this.#ending.abort(new Error('the server ends'));
    await this.#round;
  }

  request(asked: AskedMerge, signal: AbortSignal): Promise<AskedMergeAnswer> {
    return this.#turns.next(turnOf(asked), () => this.#request(asked, signal));
  }

  async #request(asked: AskedMerge, signal: AbortSignal): Promise<AskedMergeAnswer> {
    const { database, onEvent } = this.#deps;
    const admitted = await admitMerge(this.#deps, asked, signal);
    if (admitted.kind !== 'admitted') return admitted;
    const merge = await database.merges.ask(admitted.merge);
    onEvent({ kind: 'asked', merge });
    this.wake();
    return { kind: 'kept' };
  }

  withdraw(asked: WithdrawnMerge, signal: AbortSignal): Promise<WithdrawnAnswer> {
    return this.#turns.next(turnOf(asked), async () => {
      const { database, clock, onEvent } = this.#deps;
      const merge = await database.merges.findOpen(asked.repository, asked.number);
      if (merge === null) return 'nothing-pending';
      if (!asked.mayAlways && merge.byId !== asked.by.id) return 'not-theirs';
      const left = merge.state === 'pending' ? 'not-queued' : await this.#leaveQueue(merge, signal);
      if (left !== 'not-queued') {
        this.wake();
        return left === 'queued' ? 'not-let-go' : 'nothing-pending';
      }
      const telling = { reaction: null, reply: null };
      const isEnded = await database.merges.end(merge.id, { state: 'withdrawn', telling, atMs: clock() });
      if (!isEnded) return 'nothing-pending';
      onEvent({ kind: 'withdrawn', merge });
      return 'withdrawn';
    });
  }

  /** Also where it is not known whether it ever came into one. */
  async #leaveQueue(merge: StoredMerge, signal: AbortSignal): Promise<QueueEntry['kind']> {
    const { repository, number, baseBranch, headSha } = merge;
    const place = hostedOf({ hosted: this.#deps.forges }, repository);
    if (place === null) return 'queued';
    const left = await place.forge.dequeue(
      { repository: place.repository, number, baseBranch },
      { headSha },
      signal,
    );
    return left.kind;
  }

  async #rounds(): Promise<void> {
    let restMs = idleMs;
    while (this.#isWoken && this.#phase === 'started') {
      this.#isWoken = false;
      try {
        restMs = await this.#goThrough();
      } catch (error) {
        this.#deps.onEvent({ kind: 'database-fault', error });
        restMs = backOff.firstMs;
      }
    }
    if (this.#phase !== 'started') return;
    this.#endPause = this.#deps.later(restMs, () => {
      this.#endPause = null;
      this.wake();
    });
  }

  /** All that is not finished, once. @returns after how many milliseconds something is due again */
  async #goThrough(): Promise<number> {
    const { database, clock } = this.#deps;
    const waiting = [...(await database.merges.unfinished())];
    const work = async (): Promise<void> => {
      for (let merge = waiting.shift(); merge !== undefined; merge = waiting.shift()) {
        if (this.#phase !== 'started') return;
        await this.#attend(merge.id);
      }
    };
    // Also after a fault: whoever stops the desk must know that nothing runs any more.
    const ended = await Promise.allSettled(Array.from({ length: mergesAtOnce }, work));
    for (const one of ended) if (one.status === 'rejected') throw one.reason;
    const left = await database.merges.unfinished();
    const nowMs = clock();
    const dueAtMs = left.flatMap((merge) => (isPutOff(merge, nowMs) ? [merge.nextAtMs] : []));
    return Math.max(0, Math.min(idleMs, ...dueAtMs.map((atMs) => atMs - nowMs)));
  }

  #attend(id: number): Promise<void> {
    return this.#deps.database.merges.find(id).then((merge) => {
      if (merge === null) return;
      // In its change's turn, and as it is by then.
      return this.#turns.next(turnOf(merge), async () => {
        const now = await this.#deps.database.merges.find(id);
        if (now === null || now.isTold || isPutOff(now, this.#deps.clock())) return;
        await this.#carryOut(now);
      });
    });
  }

  async #carryOut(merge: StoredMerge): Promise<void> {
    const place = hostedOf({ hosted: this.#deps.forges }, merge.repository);
    // Its forge is not configured any more: it is taken up where it is again.
    if (place === null) return;
    const looksInQueue = this.#isQueueLookDue(merge);
    const work: MergeWork = { merge, ...place, looksInQueue, signal: this.#ending.signal };
    try {
      if (merge.telling !== null) return await tellEnd(this.#deps, work);
      const carried = await carryOut(this.#deps, work);
      if (carried.kind === 'again') return await this.#lookAgain(merge, carried.fault);
      const now = await this.#deps.database.merges.find(merge.id);
      if (now !== null && now.telling !== null && !now.isTold) await this.#carryOut(now);
    } catch (error) {
      if (!this.#ending.signal.aborted) await this.#fail(merge, error);
    }
  }

  #isQueueLookDue({ id, state }: StoredMerge): boolean {
    if (state !== 'queued') {
      this.#queueLooks.delete(id);
      return false;
    }
    const nowMs = this.#deps.clock();
    const lookedAtMs = this.#queueLooks.get(id) ?? Number.NEGATIVE_INFINITY;
    if (lookedAtMs <= nowMs && nowMs < lookedAtMs + queueLookMs) return false;
    this.#queueLooks.set(id, nowMs);
    return true;
  }

  async #lookAgain(merge: StoredMerge, fault: string | null): Promise<void> {
    const { database, clock, random } = this.#deps;
    const pauseMs = fault === null ? lookAgainMs : pauseAfter(backOff, merge.attempts + 1, random());
    await database.merges.putOff(merge.id, { fault, nextAtMs: clock() + pauseMs, atMs: clock() });
  }

  /** Of whatever could not be done. The row may be another by now: what counts is how it stood when it was tried. */
  async #fail(merge: StoredMerge, error: unknown): Promise<void> {
    const { database, clock, random, onEvent } = this.#deps;
    const atMs = clock();
    if (mayPass(error)) {
      const backOffMs = pauseAfter(backOff, merge.attempts + 1, random());
      const pauseMs = Math.max(backOffMs, restAfter(error, atMs));
      onEvent({ kind: 'put-off', merge, error, pauseMs });
      await database.merges.putOff(merge.id, { fault: faultText(error), nextAtMs: atMs + pauseMs, atMs });
      return;
    }
    onEvent({ kind: 'given-up', merge, error });
    const now = await database.merges.find(merge.id);
    if (now !== null && now.telling !== null) return database.merges.told(merge.id, atMs);
    await database.merges.end(merge.id, { state: 'refused', telling: faultTelling(faultText(error)), atMs });
    this.#isWoken = true;
  }
}

/** Not while the clock was set back: that says nothing of how long it is to wait. */
const isPutOff = ({ nextAtMs, updatedAtMs }: StoredMerge, nowMs: number): boolean =>
  nextAtMs > nowMs && updatedAtMs <= nowMs;

export const createMergeDesk = (deps: MergeDeskDeps): RunningMergeDesk => new Desk(deps);
