// The port to binary caches: what was built here is copied there, for others to fetch.
import type { StorePath } from '@eka-ci/core/ids';

/** What a push has done so far. Counts only grow. */
export interface PushProgress {
  readonly sentPaths: number;
  /** Null where whoever sends does not say. */
  readonly sentBytes: number | null;
}

export type PushRefusal =
  /** What it is asked with does not hold, or is missing: its credentials, or the key of its host. */
  | 'unauthorized'
  /** It takes nothing from anybody. */
  | 'read-only'
  /** What is installed here cannot speak to it. */
  | 'unsupported'
  /** Nothing may go there, or there is no cache at that address. */
  | 'destination'
  /** A credential source gives nothing of use. */
  | 'credentials'
  /** A path is not in the store of this server. */
  | 'no-such-path';

export type PushOutcome =
  /** It has every path that was asked for. Null where whoever sent does not say how much it was. */
  | { readonly kind: 'pushed'; readonly sentPaths: number | null; readonly sentBytes: number | null }
  /** It is down, full or slow, or says that it took what it did not: worth another try. `retryAfterMs`: as it asks. */
  | { readonly kind: 'passing'; readonly why: string; readonly retryAfterMs: number | null }
  /** No other try goes better before somebody has changed something. `why` is for people and holds no secret. */
  | { readonly kind: 'refused'; readonly code: PushRefusal; readonly why: string };

export type CacheHealth =
  | { readonly kind: 'well'; readonly about: string }
  /** `isPassing`: it may be gone by itself a little later. */
  | { readonly kind: 'faulty'; readonly why: string; readonly isPassing: boolean };

export interface PushRequest {
  /** Store paths of this server's store; all that they refer to goes with them. */
  readonly paths: readonly StorePath[];
  /** What `present` has just told to be missing there, so that it need not be asked again. */
  readonly lacking?: Iterable<StorePath>;
  /** Called while it sends, never after `push` has settled. Must not throw. */
  readonly onProgress?: (progress: PushProgress) => void;
}

/** One destination. Calls may overlap; how many pushes run at a time is the caller's business. */
export interface Cache {
  /** As ekaci.toml and repositories call it. */
  readonly id: string;
  /**
   * Those of `paths` that it has: itself, not what they refer to. Sends nothing.
   * @throws CacheError when it does not answer; the signal's reason when that aborts
   */
  present(paths: readonly StorePath[], signal: AbortSignal): Promise<ReadonlySet<StorePath>>;
  /**
   * Copies these paths with all they refer to, signed where its credentials hold a key. What it has is not sent again, so a
   * push that was cut short is simply pushed again. After its time-out the outcome is `passing`.
   * @throws the signal's reason when that aborts; whatever was started for it has ended by then
   */
  push(request: PushRequest, signal: AbortSignal): Promise<PushOutcome>;
  /** Looks whether a push would have what it needs: programs, credentials, an answer from there. Sends nothing. */
  check(signal: AbortSignal): Promise<CacheHealth>;
}

/** What a push comes to that does not bring everything there. */
export type PushFault = Exclude<PushOutcome, { readonly kind: 'pushed' }>;

/** Thrown when a cache cannot say what it has; `outcome` is what a push would come to for the same reason. */
export class CacheError extends Error {
  readonly code = 'CACHE_NOT_ANSWERING';
  readonly outcome: PushFault;
  constructor(outcome: PushFault, cause?: unknown) {
    super(`the cache does not do what it was asked: ${outcome.why}`, { cause });
    this.name = 'CacheError';
    this.outcome = outcome;
  }
}
