// The pushes of one cache: so many at a time, and where the cache fails one, after a pause that grows.

import { type BackOff, pauseAfter } from '@eka-ci/core/back-off';
import type { PushFault } from '../../cache/cache.ts';
import type { StoredPush } from '../../database/database.ts';
import { errorCodeOf } from '../../lib/error-code.ts';
import type { Later } from '../../lib/later.ts';
import { type BatchDeps, type FailedBatch, type PublishingCache, pushBatch } from './push-batch.ts';
import { pushesAtOnce, pushGroups } from './push-groups.ts';

export type LaneEvent =
  /** The first fault after none, or another kind of fault than the last. */
  | {
      readonly kind: 'cache-fails';
      readonly cache: string;
      readonly fault: PushFault;
      readonly pauseMs: number;
    }
  | { readonly kind: 'cache-works'; readonly cache: string }
  /** Of the database, of the store, or a bug; what was claimed is tried again. */
  | { readonly kind: 'lane-fault'; readonly cache: string; readonly error: unknown };

export interface LaneDeps extends BatchDeps {
  /** At least 0 and less than 1. */
  readonly random: () => number;
  readonly onEvent: (event: LaneEvent) => void;
  readonly later: Later;
  /** How long what is claimed stays this server's without being renewed. @default 60000 */
  readonly leaseMs?: number;
}

export interface CacheLane {
  readonly cache: string;
  /** There is something new to push: whether the cache takes that is found out soon, whatever it did with the rest. */
  wake(): void;
  /** There is more of what it was woken for: no reason to look sooner how the cache is. */
  more(): void;
  /** It is tried at once, however it failed before. */
  forgive(): void;
  /** Why it pauses; null while it does not. */
  fault(): { readonly why: string; readonly sinceMs: number } | null;
  /** Pushes that run. */
  active(): number;
  /** Ends what runs; resolves when nothing does. Idempotent. */
  stop(): Promise<void>;
}

const idleMs = 30_000;
/** After that no other group of what was claimed begins. */
const claimMs = 5 * 60_000;
const passingBackOff: BackOff = { firstMs: 2000, longestMs: 10 * 60_000 };
/** Somebody has to change something; credentials that were rotated are found by the first of these. */
const refusedBackOff: BackOff = { firstMs: 60_000, longestMs: 60 * 60_000 };
const longestWishMs = 60 * 60_000;
const timerSlackMs = 10;
/** Together, of a cache that has just failed: so few are lost when it fails again, and twice as many go next if it does not. */
const pushesAfterFault = 8;
/** Of what is due, one is tried of a cache that has just failed. */
const triedAmong = 512;

/** How long the cache asks to be left alone. */
const wishOf = (fault: PushFault): number =>
  fault.kind === 'passing' ? Math.min(fault.retryAfterMs ?? 0, longestWishMs) : 0;

const faultText = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error);
  const code = errorCodeOf(error);
  return code === '' ? message : `${code}: ${message}`;
};

class Lane implements CacheLane {
  readonly cache: string;
  readonly #deps: LaneDeps;
  readonly #to: PublishingCache;
  readonly #leaseMs: number;
  readonly #ending = new AbortController();
  readonly #running = new Set<Promise<void>>();
  /** Of what runs. */
  readonly #held = new Set<number>();
  #woken = Promise.withResolvers<void>();
  /** Pushes of which one at least cannot be pushed. */
  readonly #suspects = new Set<number>();
  /** Pushes that are claimed in one go. */
  #room = pushesAtOnce;
  /** In a row. */
  #faults = 0;
  #fault: { readonly kind: string; readonly why: string; readonly sinceMs: number } | null = null;
  /** By the clock: what is new does not end the pause before. */
  #atLeastUntilMs = 0;
  /** Ends the pause; null while there is none. */
  #pausedUntil: (() => void) | null = null;
  readonly #ended: Promise<void>;

  constructor(deps: LaneDeps, to: PublishingCache) {
    this.#deps = deps;
    this.#to = to;
    this.#leaseMs = deps.leaseMs ?? 60_000;
    this.cache = to.cache.id;
    this.#ended = this.#run();
  }

  wake(): void {
    this.#shortenPause();
    this.#woken.resolve();
  }

  more(): void {
    this.#woken.resolve();
  }

  forgive(): void {
    this.#endPause();
    this.#woken.resolve();
  }

  fault(): { readonly why: string; readonly sinceMs: number } | null {
    return this.#fault;
  }

  active(): number {
    return this.#running.size;
  }

  stop(): Promise<void> {
    if (!this.#ending.signal.aborted) this.#ending.abort(new Error('the server ends'));
    this.#endPause();
    this.#woken.resolve();
    return this.#ended;
  }

  async #run(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      // While it fails one push at a time finds out when it does not any more.
      const seats = this.#faults > 0 ? 1 : this.#to.concurrency;
      const isFree = this.#pausedUntil === null && this.#running.size < seats;
      try {
        const claimed = isFree ? await this.#claim() : [];
        if (claimed.length === 0) await this.#rest();
        else this.#begin(claimed);
      } catch (error) {
        this.#deps.onEvent({ kind: 'lane-fault', cache: this.cache, error });
        await this.#rest();
      }
    }
    await Promise.all(this.#running);
  }

  async #claim(): Promise<readonly StoredPush[]> {
    const { database, owner, clock, random } = this.#deps;
    const nowMs = clock();
    const due = { cache: this.cache, owner, nowMs, untilMs: nowMs + this.#leaseMs };
    // Of a cache that fails any of them: were it the first always, a few that never go would be tried one after the other,
    // after an hour each.
    const which = this.#faults > 0 ? { limit: triedAmong, oneAt: random() } : { limit: this.#room };
    const claimed = await database.pushes.claim({ ...due, ...which });
    // Where this process stood still, or its clock was set, for longer than a lease: what runs is ours still.
    return claimed.filter(({ id }) => !this.#held.has(id));
  }

  async #rest(): Promise<void> {
    const cancel = this.#deps.later(idleMs, () => this.#woken.resolve());
    await this.#woken.promise;
    cancel();
    this.#woken = Promise.withResolvers();
  }

  #begin(claimed: readonly StoredPush[]): void {
    for (const { id } of claimed) this.#held.add(id);
    const work = this.#carryOut(claimed)
      .catch((error: unknown) => this.#stumble(error))
      .finally(() => {
        this.#running.delete(work);
        for (const { id } of claimed) this.#held.delete(id);
        this.#woken.resolve();
      });
    this.#running.add(work);
  }

  /** Not the cache's fault: of the database, of the store, a bug. It would be there again if all went on at once. */
  #stumble(error: unknown): void {
    if (this.#ending.signal.aborted) return;
    this.#deps.onEvent({ kind: 'lane-fault', cache: this.cache, error });
    this.#faults += 1;
    this.#fault ??= { kind: 'server', why: faultText(error), sinceMs: this.#deps.clock() };
    const pauseMs = pauseAfter(passingBackOff, this.#faults, this.#deps.random());
    this.#pause(pauseMs, pauseMs);
  }

  async #carryOut(claimed: readonly StoredPush[]): Promise<void> {
    const groups = pushGroups(claimed, ({ id }) => this.#suspects.has(id));
    const left = new Set(claimed.map(({ id }) => id));
    const lost = new AbortController();
    const renewing = this.#keepLease(left, lost);
    const untilMs = performance.now() + claimMs;
    const signal = AbortSignal.any([this.#ending.signal, lost.signal]);
    try {
      for (const group of groups) {
        const batch = await pushBatch(this.#deps, this.#to, { pushes: group, signal });
        if (batch.kind === 'failed') await this.#putOff(batch);
        else if (batch.cacheAnswered) this.#works();
        for (const { id } of group) {
          left.delete(id);
          if (batch.kind === 'settled') this.#suspects.delete(id);
        }
        // What is left is claimed anew: something of more importance may have come.
        if (this.#pausedUntil !== null || performance.now() > untilMs) break;
      }
    } catch (error) {
      // Others have it by now: nothing of it is ours to tell.
      if (!lost.signal.aborted) throw error;
    } finally {
      renewing.end();
      await this.#release([...left]);
    }
  }

  /** What was not tried, or was cut short. A database that is away gives it back when its lease is over. */
  async #release(ids: readonly number[]): Promise<void> {
    const { database, owner } = this.#deps;
    try {
      await database.pushes.release({ ids, owner });
    } catch (error) {
      this.#deps.onEvent({ kind: 'lane-fault', cache: this.cache, error });
    }
  }

  #keepLease(left: ReadonlySet<number>, lost: AbortController): { end(): void } {
    const { database, owner, clock } = this.#deps;
    const renew = async (): Promise<void> => {
      try {
        const ids = [...left];
        const kept = await database.pushes.renew({ ids, owner }, clock() + this.#leaseMs);
        // What is settled by now is not held any more either: only where nothing is, nobody wants the rest from us.
        if (ids.length > 0 && kept.length === 0 && left.size > 0) lost.abort(new Error('others push it'));
      } catch (error) {
        // The lease outlives a few of these; whoever claims it then finds what was pushed by then.
        this.#deps.onEvent({ kind: 'lane-fault', cache: this.cache, error });
      }
    };
    const timer = setInterval(() => void renew(), this.#leaseMs / 3);
    return { end: () => clearInterval(timer) };
  }

  async #putOff({ pushes, fault, durationMs }: FailedBatch): Promise<void> {
    const { database, owner, clock, random, onEnding } = this.#deps;
    const isOfPath = fault.kind === 'refused' && fault.code === 'no-such-path';
    // Which of them it is shows when each goes alone.
    const isSuspicion = isOfPath && pushes.length > 1;
    if (isSuspicion) for (const { id } of pushes) this.#suspects.add(id);
    if (!isOfPath) this.#cacheFails(fault);
    const backOff = fault.kind === 'refused' && !isSuspicion ? refusedBackOff : passingBackOff;
    const atMs = clock();
    for (const [attempts, some] of Map.groupBy(pushes, (push) => push.attempts)) {
      // What never goes must not stop the cache for the others every time that it is tried; but of what failed in company
      // nobody knows whether it is that.
      const failures = pushes.length > 1 ? 1 : attempts + 1;
      const pauseMs = Math.max(pauseAfter(backOff, failures, random()), wishOf(fault));
      const ids = some.map(({ id }) => id);
      // A timer may be early by a little; what it wakes for is to be due then.
      const nextAtMs = atMs + pauseMs - timerSlackMs;
      await database.pushes.putOff({ ids, owner }, { fault: fault.why, nextAtMs, atMs });
    }
    for (const push of pushes) onEnding(this.cache, { kind: 'failed', push, fault, durationMs });
  }

  #cacheFails(fault: PushFault): void {
    // Another seat has just found the same: that is no second failure in a row.
    if (this.#pausedUntil !== null) return;
    const { clock, random, onEvent } = this.#deps;
    this.#faults += 1;
    this.#room = pushesAfterFault;
    const backOff = fault.kind === 'refused' ? refusedBackOff : passingBackOff;
    const pauseMs = Math.max(pauseAfter(backOff, this.#faults, random()), wishOf(fault));
    this.#pause(pauseMs, Math.max(backOff.firstMs, wishOf(fault)));
    const kind = fault.kind === 'refused' ? fault.code : fault.kind;
    const isNew = this.#fault?.kind !== kind;
    this.#fault = { kind, why: fault.why, sinceMs: this.#fault?.sinceMs ?? clock() };
    if (isNew) onEvent({ kind: 'cache-fails', cache: this.cache, fault, pauseMs });
  }

  #works(): void {
    if (this.#fault !== null) this.#deps.onEvent({ kind: 'cache-works', cache: this.cache });
    if (this.#faults === 0) this.#room = Math.min(pushesAtOnce, this.#room * 2);
    this.#faults = 0;
    this.#fault = null;
  }

  /** @param atLeastMs also where there is something new */
  #pause(pauseMs: number, atLeastMs: number): void {
    this.#endPause();
    if (this.#ending.signal.aborted) return;
    this.#atLeastUntilMs = this.#deps.clock() + atLeastMs;
    this.#pausedUntil = this.#deps.later(pauseMs, () => {
      this.#pausedUntil = null;
      this.#woken.resolve();
    });
  }

  #shortenPause(): void {
    if (this.#pausedUntil === null) return;
    const leftMs = Math.max(0, this.#atLeastUntilMs - this.#deps.clock());
    // Where the clock was set back the pause is as long as it was.
    if (leftMs <= longestWishMs) this.#pause(leftMs, leftMs);
  }

  #endPause(): void {
    this.#pausedUntil?.();
    this.#pausedUntil = null;
  }
}

/** Begins at once. What an earlier life of this server held must be released before. */
export const startCacheLane = (deps: LaneDeps, to: PublishingCache): CacheLane => new Lane(deps, to);
