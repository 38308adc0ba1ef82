// What an answer of GitHub means: taken, to be asked again, too fast, or refused. Pure.
import { z } from 'zod';
import type { Exchange } from './exchange.ts';
import { GithubError, type GithubErrorCode } from './github-error.ts';
import { type LimitReport, longestLimitMs } from './pace.ts';

export type Judgement =
  | { readonly kind: 'taken' }
  /** Ask again: nothing is wrong with what was asked. */
  | { readonly kind: 'passing'; readonly afterMs: number | null; readonly error: GithubError }
  /** We are too fast, and GitHub did nothing. `afterMs` is null where it does not say when to come back. */
  | { readonly kind: 'limited'; readonly afterMs: number | null; readonly error: GithubError }
  | { readonly kind: 'unauthorised'; readonly says: string; readonly error: GithubError }
  | { readonly kind: 'refused'; readonly error: GithubError };

type Answer = Extract<Exchange, { kind: 'answer' }>;

const Complaint = z.object({
  message: z.string(),
  errors: z
    .array(
      z.union([
        z.string(),
        z.object({
          message: z.string().optional(),
          field: z.string().optional(),
          code: z.string().optional(),
        }),
      ]),
    )
    .optional()
    .catch(undefined),
});

const longestQuote = 300;

/** What GitHub says is wrong, on one line of printable characters. */
const complaintOf = (text: string, hide: Asked['hide']): string => {
  let json: unknown = null;
  try {
    json = JSON.parse(text.slice(0, 100_000));
  } catch {
    return ''; // An error page of something in between: its status tells more.
  }
  const parsed = Complaint.safeParse(json);
  if (!parsed.success) return '';
  const details = (parsed.data.errors ?? []).map((one) =>
    typeof one === 'string' ? one : (one.message ?? [one.field, one.code].filter(Boolean).join(' ')),
  );
  return hide([parsed.data.message, ...details].join('; '))
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
    .slice(0, longestQuote)
    .toWellFormed();
};

const wholeNumber = (text: string | null): number | null =>
  text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;

/** By how much GitHub's clock is ahead of ours, as far as the answer tells. */
export const skewOf = (headers: Headers, nowMs: number): number | null => {
  const date = Date.parse(headers.get('date') ?? '');
  return Number.isNaN(date) ? null : date - nowMs;
};

const bounded = (waitMs: number): number => Math.min(longestLimitMs, Math.max(0, waitMs));

/** What the answer says is left of its limit, on our clock; null where it says nothing. */
export const readLimit = (headers: Headers, nowMs: number): LimitReport | null => {
  const remaining = wholeNumber(headers.get('x-ratelimit-remaining'));
  const reset = wholeNumber(headers.get('x-ratelimit-reset'));
  const resource = headers.get('x-ratelimit-resource') ?? 'core';
  if (remaining === null || reset === null || (resource !== 'core' && resource !== 'graphql')) return null;
  const waitMs = bounded(reset * 1000 - (nowMs + (skewOf(headers, nowMs) ?? 0)));
  return { resource, remaining, resetAtMs: nowMs + waitMs };
};

/** `Retry-After`, in seconds or as a date. */
const readRetryAfter = (headers: Headers, nowMs: number): number | null => {
  const written = headers.get('retry-after');
  const seconds = wholeNumber(written);
  if (seconds !== null) return bounded(seconds * 1000);
  const date = Date.parse(written ?? '');
  return Number.isNaN(date) ? null : bounded(date - (nowMs + (skewOf(headers, nowMs) ?? 0)));
};

/** https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit */
const tooFast = /secondary rate limit|rate limit exceeded|abuse detection|submitted too quickly/i;

const advice: Readonly<Partial<Record<GithubErrorCode, string>>> = {
  GITHUB_FAULT: 'it is GitHub that fails; it is tried again later',
  GITHUB_RATE_LIMITED: 'it goes on by itself when the limit is reset',
  GITHUB_UNAUTHORISED: 'check id and private key of the app, and the clock of this machine',
  GITHUB_FORBIDDEN: 'give the app the permission that it lacks, and accept that in the installation',
  GITHUB_NOT_FOUND: 'check that it exists and that the app is installed there',
  GITHUB_CONFLICT: 'something else changed it meanwhile',
  GITHUB_REFUSED: 'GitHub does not take the request as it is',
};

export interface Asked {
  readonly operation: string;
  readonly nowMs: number;
  /** Takes our credentials out of a text: GitHub may send back what it was sent. */
  readonly hide: (text: string) => string;
}

const errorFor = (code: GithubErrorCode, answer: Answer, { operation, hide }: Asked): GithubError => {
  const says = complaintOf(answer.text, hide);
  const headerOf = (name: string): string | undefined => {
    const value = answer.headers.get(name);
    return value === null ? undefined : hide(value).slice(0, 200);
  };
  const requestId = headerOf('x-github-request-id');
  const lacking = headerOf('x-accepted-github-permissions');
  const quoted = says === '' ? '' : ` ${JSON.stringify(says)}`;
  const needs = code === 'GITHUB_FORBIDDEN' && lacking !== undefined ? ` It takes ${lacking}.` : '';
  const request = requestId === undefined ? '' : ` (request ${requestId})`;
  const message = `${operation}: GitHub answers ${answer.status}${quoted}${request}: ${advice[code] ?? ''}.${needs}`;
  return new GithubError(code, message, {
    status: answer.status,
    ...(requestId !== undefined && { requestId }),
    isMaybeDone: answer.status >= 500,
  });
};

const codeOf = (status: number): GithubErrorCode => {
  if (status === 403) return 'GITHUB_FORBIDDEN';
  if (status === 404 || status === 410) return 'GITHUB_NOT_FOUND';
  return status === 409 ? 'GITHUB_CONFLICT' : 'GITHUB_REFUSED';
};

const passing = new Set([408, 425]);

const judgeLimit = (answer: Answer, asked: Asked): Judgement | null => {
  if (answer.status !== 403 && answer.status !== 429) return null;
  const afterMs = readRetryAfter(answer.headers, asked.nowMs);
  const limit = readLimit(answer.headers, asked.nowMs);
  const isSpent = limit !== null && limit.remaining === 0;
  const complains = tooFast.test(complaintOf(answer.text, asked.hide));
  if (answer.status === 403 && afterMs === null && !isSpent && !complains) return null;
  const error = errorFor('GITHUB_RATE_LIMITED', answer, asked);
  return { kind: 'limited', afterMs: afterMs ?? (isSpent ? limit.resetAtMs - asked.nowMs : null), error };
};

/** A 409 is a passing state of a repository, or somebody else's change: the caller knows which. */
export const judgeAnswer = (answer: Answer, asked: Asked): Judgement => {
  const { status, headers, text } = answer;
  if ((status >= 200 && status < 300) || status === 304) return { kind: 'taken' };
  const limit = judgeLimit(answer, asked);
  if (limit !== null) return limit;
  if (status >= 500 || passing.has(status)) {
    const error = errorFor('GITHUB_FAULT', answer, asked);
    return { kind: 'passing', afterMs: readRetryAfter(headers, asked.nowMs), error };
  }
  if (status === 401) {
    return {
      kind: 'unauthorised',
      says: complaintOf(text, asked.hide),
      error: errorFor('GITHUB_UNAUTHORISED', answer, asked),
    };
  }
  const error = errorFor(codeOf(status), answer, asked);
  return status === 409 ? { kind: 'passing', afterMs: null, error } : { kind: 'refused', error };
};
