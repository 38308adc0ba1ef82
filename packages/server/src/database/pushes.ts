// The port's pushes: which outputs are to be copied to which cache, and what became of it. Part of database.ts.
import type { DrvPath, StorePath } from '@eka-ci/core/ids';

/**
 * waiting → pushed, present (the cache had it), or dropped (it will not be pushed: `fault` says why). Dropped → waiting where
 * it is wanted once more.
 */
export type PushState = 'waiting' | 'pushed' | 'present' | 'dropped';
export type SettledPush = Exclude<PushState, 'waiting'>;

/** Base branches come first. */
export const pushPriorities = { branch: 0, unmerged: 1 } as const;

/** The outputs of one build for one cache. Of equal outputs of one cache there is one, whatever their derivations are. */
export interface WantedPush {
  readonly cache: string;
  readonly drv: DrvPath;
  /** One at least; the first tells it from others. */
  readonly outputs: readonly [StorePath, ...StorePath[]];
  /** Of the place whose permissions let it through: `owner/repo`. Read again, it is as that repository is called by then. */
  readonly repository: string;
  readonly branch: string;
  /** On whose behalf; null in what earlier versions wrote. */
  readonly changeId: string | null;
  /** Whose roots keep the outputs from garbage collection. */
  readonly publicationId: number;
  /** Those with lower numbers come first. */
  readonly priority: number;
}

export interface StoredPush extends WantedPush {
  readonly id: number;
  readonly state: PushState;
  /** That failed, in a row. */
  readonly attempts: number;
  /** Milliseconds since 1970: it is not tried before. */
  readonly nextAtMs: number;
  /** For people: why the last attempt failed, or why it was dropped. */
  readonly fault: string | null;
  /** Milliseconds since 1970. */
  readonly waitingSinceMs: number;
  readonly updatedAtMs: number;
}

export interface PushClaim {
  readonly cache: string;
  /** A server's own name; the same after its restart. */
  readonly owner: string;
  readonly nowMs: number;
  /** When others may take them, unless they are renewed. */
  readonly untilMs: number;
  /** From 1 to 1000. */
  readonly limit: number;
  /** Of so many that are due only one: where it is among them, at least 0 and less than 1. */
  readonly oneAt?: number;
}

interface PushLease {
  readonly ids: readonly number[];
  readonly owner: string;
}

/** What waits for one cache. */
export interface PushCounts {
  readonly cache: string;
  readonly waiting: number;
  /** Of these, those whose last attempt failed. */
  readonly failing: number;
  /** Milliseconds since 1970: since when the oldest waits. */
  readonly waitingSinceMs: number;
}

export interface Pushes {
  /**
   * In one transaction. What waits, or is there by what is known, stays as it is; but one of a lower number takes over
   * priority and place of what waits. What was dropped waits anew.
   * @returns how many wait now that did not before
   */
  want(pushes: readonly WantedPush[], atMs: number): Promise<number>;
  /** Those of `outputs`, first ones, of which `want` with this priority would change nothing. */
  settled(
    of: { readonly cache: string; readonly priority: number },
    outputs: readonly StorePath[],
  ): Promise<ReadonlySet<StorePath>>;
  /** What is due for one cache, by priority and then by age. Given to nobody else while it is leased. */
  claim(claim: PushClaim): Promise<readonly StoredPush[]>;
  /** @returns those that are held still; work on the others is to be stopped */
  renew(lease: PushLease, untilMs: number): Promise<readonly number[]>;
  /** Their end, whoever holds them: what is there is there. Idempotent. A fault of null: nothing was wrong. */
  settle(
    ids: readonly number[],
    ending: { readonly state: SettledPush; readonly fault: string | null; readonly atMs: number },
  ): Promise<void>;
  /** They failed, and are tried again then. Nothing of those whose lease was lost. */
  putOff(
    lease: PushLease,
    why: { readonly fault: string; readonly nextAtMs: number; readonly atMs: number },
  ): Promise<void>;
  /** As if they had not been claimed. */
  release(lease: PushLease): Promise<void>;
  /** All that this owner had claimed when it died. @returns how many */
  releaseAll(owner: string): Promise<number>;
  /** What was put off is due at once. @param cache null: of all of them @returns how many */
  retry(cache: string | null, atMs: number): Promise<number>;
  /**
   * What was pushed, or was there, is due again: whether the cache has it is to be asked anew. In several transactions: it may
   * be all that was ever pushed, and others are to have their turns in between. @returns how many
   */
  askAgain(cache: string, atMs: number): Promise<number>;
  /** By cache; those for which nothing waits are left out. */
  counts(): Promise<readonly PushCounts[]>;
  /** Of what waits, each once: their roots are needed. */
  publicationsWaiting(): Promise<readonly number[]>;
  /**
   * Removes what was settled before, which is then pushed again where it is wanted and the cache has lost it; and what
   * waits since before for a cache that is none of `caches`. @returns how many
   */
  forget(beforeMs: number, caches: readonly string[]): Promise<number>;
}
