// Stage: what judgements hand on → rows → the caches. All of it resumes from rows; no verdict waits for any of it.

import { type BackOff, pauseAfter } from '@eka-ci/core/back-off';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import type { StoreQueries } from '@eka-ci/nix/store-queries';
import type { Database, PushCounts } from '../../database/database.ts';
import type { Later } from '../../lib/later.ts';
import { type CacheLane, type LaneEvent, startCacheLane } from './cache-lane.ts';
import type { PublishingCache, PushEnding, Sent } from './push-batch.ts';
import type { PushRoots } from './push-roots.ts';
import { type TakeEvent, takePublication } from './take-publications.ts';

export type PushQueueEvent =
  | TakeEvent
  | LaneEvent
  | { readonly kind: 'ending'; readonly cache: string; readonly ending: PushEnding }
  | { readonly kind: 'sent'; readonly cache: string; readonly sent: Sent }
  /** What judgements handed on, or the roots of what waits, could not be looked at; tried again. */
  | { readonly kind: 'queue-fault'; readonly error: unknown };

/** What these were built from, as far as it is in the store; their files are in it. @throws CacheError */
export type BuildTimePathsOf = (
  drvs: readonly DrvPath[],
  signal: AbortSignal,
) => Promise<readonly StorePath[]>;

export interface PushQueueDeps {
  readonly database: Pick<Database, 'publications' | 'pushes'>;
  readonly caches: readonly PublishingCache[];
  readonly store: Pick<StoreQueries, 'queryValid'>;
  readonly buildTimePathsOf: BuildTimePathsOf;
  readonly roots: PushRoots;
  /** This server's own name; the same after its restart. */
  readonly owner: string;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly random: () => number;
  readonly later: Later;
  /** Must not throw. */
  readonly onEvent: (event: PushQueueEvent) => void;
  /** @default 60000 */
  readonly leaseMs?: number;
}

/** As of now, of one cache that is configured or of which something waits. */
export interface CacheQueue {
  readonly cache: string;
  readonly waiting: number;
  readonly failing: number;
  /** Milliseconds since 1970; null where nothing waits. */
  readonly waitingSinceMs: number | null;
  readonly active: number;
  /** For people: why nothing is pushed now; null where it is. */
  readonly fault: string | null;
}

export interface PushQueue {
  /** Begins, with what an earlier life left. @throws DatabaseError */
  start(): Promise<void>;
  /** Something was judged. */
  wake(): void;
  /** By cache, the configured ones first. */
  queues(): Promise<readonly CacheQueue[]>;
  /**
   * Tries at once what waits for that cache, and where `everything` also what was pushed: its cache is asked whether it has
   * it. @returns how many are due by that; null for a cache that is not configured
   */
  pushNow(cache: string, what: 'waiting' | 'everything'): Promise<number | null>;
  /** Ends what runs; what is not done is taken up by the next start. Idempotent. */
  stop(): Promise<void>;
}

const nothingTaken = () => ({ changeId: null, told: new Set<string>() });

const idleMs = 60_000;
const backOff: BackOff = { firstMs: 1000, longestMs: 60_000 };

class Queue implements PushQueue {
  readonly #deps: PushQueueDeps;
  readonly #lanes = new Map<string, CacheLane>();
  #faults = 0;
  /** The change of which parts are being taken, and the caches that were woken for it. */
  #taking: { readonly changeId: string | null; readonly told: Set<string> } = nothingTaken();
  #stopping = false;
  #woken = Promise.withResolvers<void>();
  #ended: Promise<void> = Promise.resolve();

  constructor(deps: PushQueueDeps) {
    this.#deps = deps;
  }

  async start(): Promise<void> {
    const { database, owner, clock } = this.#deps;
    await database.pushes.releaseAll(owner);
    // Whoever starts a server may have mended what failed.
    await database.pushes.retry(null, clock());
    if (this.#stopping) return;
    for (const cache of this.#deps.caches) this.#lanes.set(cache.cache.id, this.#open(cache));
    this.#ended = this.#run();
  }

  wake(): void {
    this.#woken.resolve();
  }

  async queues(): Promise<readonly CacheQueue[]> {
    const counts = new Map((await this.#deps.database.pushes.counts()).map((one) => [one.cache, one]));
    const configured = this.#deps.caches.map(({ cache }) => cache.id);
    const names = [...configured, ...[...counts.keys()].filter((id) => !configured.includes(id))];
    return names.map((cache) => this.#queueOf(cache, counts.get(cache)));
  }

  async pushNow(cache: string, what: 'waiting' | 'everything'): Promise<number | null> {
    const lane = this.#lanes.get(cache);
    if (lane === undefined) return null;
    const { database, clock } = this.#deps;
    const asked = what === 'everything' ? await database.pushes.askAgain(cache, clock()) : 0;
    const due = asked + (await database.pushes.retry(cache, clock()));
    lane.forgive();
    return due;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.wake();
    await Promise.all([this.#ended, ...Array.from(this.#lanes.values(), (lane) => lane.stop())]);
  }

  #queueOf(cache: string, counts: PushCounts | undefined): CacheQueue {
    const lane = this.#lanes.get(cache);
    return {
      cache,
      waiting: counts?.waiting ?? 0,
      failing: counts?.failing ?? 0,
      waitingSinceMs: counts?.waitingSinceMs ?? null,
      active: lane?.active() ?? 0,
      fault:
        lane === undefined
          ? 'no cache of that name is configured: put it back into caches, or what waits for it is forgotten in time'
          : (lane.fault()?.why ?? null),
    };
  }

  #open(cache: PublishingCache): CacheLane {
    const { database, store, buildTimePathsOf, owner, clock, random, later, onEvent, leaseMs } = this.#deps;
    return startCacheLane(
      {
        ...{ database, store, buildTimePathsOf, owner, clock, random, later, onEvent },
        onEnding: (id, ending) => onEvent({ kind: 'ending', cache: id, ending }),
        onSent: (id, sent) => onEvent({ kind: 'sent', cache: id, sent }),
        ...(leaseMs !== undefined && { leaseMs }),
      },
      cache,
    );
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      let restMs = idleMs;
      try {
        const isMore = await this.#takeNext();
        this.#faults = 0;
        if (isMore) continue;
        this.#taking = nothingTaken();
        await this.#sweepRoots();
      } catch (error) {
        this.#faults += 1;
        this.#deps.onEvent({ kind: 'queue-fault', error });
        restMs = pauseAfter(backOff, this.#faults, this.#deps.random());
      }
      await this.#rest(restMs);
    }
  }

  /** One at a time: what a judgement hands on may be a hundred of them. @returns whether there may be more */
  async #takeNext(): Promise<boolean> {
    const { database, caches, store, roots, clock, onEvent } = this.#deps;
    const [stored] = await database.publications.waiting('pushes', 1);
    if (stored === undefined) return false;
    const byId = new Map(caches.map((one) => [one.cache.id, one]));
    const queued = await takePublication({ database, caches: byId, store, roots, clock, onEvent }, stored);
    if (stored.changeId !== this.#taking.changeId)
      this.#taking = { changeId: stored.changeId, told: new Set() };
    for (const cache of queued) {
      const lane = this.#lanes.get(cache);
      if (this.#taking.told.has(cache)) lane?.more();
      else lane?.wake();
      this.#taking.told.add(cache);
    }
    return true;
  }

  async #sweepRoots(): Promise<void> {
    // Between two publications: of none are there roots that have no rows yet.
    await this.#deps.roots.release(new Set(await this.#deps.database.pushes.publicationsWaiting()));
  }

  async #rest(restMs: number): Promise<void> {
    if (this.#stopping) return;
    const cancel = this.#deps.later(restMs, () => this.wake());
    await this.#woken.promise;
    cancel();
    this.#woken = Promise.withResolvers();
  }
}

export const createPushQueue = (deps: PushQueueDeps): PushQueue => new Queue(deps);
