// What the parts of this driver ask GitHub with: who asks, what for, and what comes back.
import type { z } from 'zod';
import type { Secret } from '../../config/secret.ts';
import type { ContentBudget } from './pace.ts';

/** Whoever asks: an app, or one of its installations. GitHub's limits are counted for each. */
export interface GithubIdentity {
  /** Unique, and no secret. */
  readonly name: string;
  token(signal?: AbortSignal): Promise<Secret>;
  /**
   * GitHub refused this token.
   * @param clock by how much its clock is ahead of ours; null where it does not tell
   * @returns whether the next one has a chance
   */
  refused(token: Secret, says: string, clock: { readonly skewMs: number | null }): boolean;
}

export interface GithubCall<T> {
  /** For messages and metrics: one of few, such as `gates.create`. */
  readonly operation: string;
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  /** Below the API's address, made by `apiPath`. */
  readonly path: string;
  readonly body?: unknown;
  readonly schema: z.ZodType<T>;
  /**
   * When it may be sent again. `unless-done`: only where GitHub cannot have carried it out. `never`: only where GitHub
   * said that we are too fast. @default always; of a POST unless-done
   */
  readonly repeat?: 'always' | 'unless-done' | 'never';
  /** It creates something: one at a time, and within GitHub's budgets for that. @default false */
  readonly creates?: boolean;
  /** Whole numbers that JavaScript cannot hold come as bigint. @default false */
  readonly exactIntegers?: boolean;
}

export interface GithubAnswer<T> {
  readonly value: T;
  /** The next page, as a path for another call; null on the last. */
  readonly next: string | null;
}

export interface GithubClient {
  /** @throws GithubError; the signal's reason where that aborted */
  call<T>(call: GithubCall<T>, signal?: AbortSignal): Promise<T>;
  /** The same, with the way to the next page. */
  page<T>(call: GithubCall<T>, signal?: AbortSignal): Promise<GithubAnswer<T>>;
  /** What may still be created. */
  contentBudget(): ContentBudget;
}

/** One request that went out. */
export interface GithubCallReport {
  readonly operation: string;
  readonly outcome: 'ok' | 'not-modified' | 'limited' | 'fault' | 'unauthorised' | 'refused' | 'unreachable';
  readonly durationMs: number;
}

/** What asks one GitHub. */
export interface GithubHttp {
  /** Of its API, without a slash at the end. */
  readonly apiUrl: string;
  as(identity: GithubIdentity): GithubClient;
}
