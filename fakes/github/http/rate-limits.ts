// GitHub's limits: requests an hour for everyone, and where it is switched on, content creations.
import { Refusal } from '../state/refusal.ts';

export interface RateState {
  readonly limit: number;
  readonly used: number;
  readonly remaining: number;
  /** Seconds since 1970. */
  readonly reset: number;
}

export interface SecondaryLimits {
  readonly perMinute: number;
  readonly perHour: number;
}

export interface RateLimits {
  /** Requests an hour for every principal; null for GitHub's own numbers. */
  setPrimary(limit: number | null): void;
  setSecondary(limits: SecondaryLimits | null): void;
  /** Takes one request. @throws Refusal when there is none left */
  take(who: Requester): RateState;
  /** A request that was answered 304 does not count. */
  giveBack(who: Requester): RateState;
  read(who: Requester): RateState;
  /** @throws Refusal when too much was created lately */
  takeCreation(who: Requester): void;
}

export interface Requester {
  readonly key: string;
  /** Requests an hour without any other setting. */
  readonly limit: number;
}

const hourMs = 3_600_000;
const minuteMs = 60_000;

export const rateHeaders = (state: RateState): Record<string, string> => ({
  'x-ratelimit-limit': `${state.limit}`,
  'x-ratelimit-remaining': `${state.remaining}`,
  'x-ratelimit-used': `${state.used}`,
  'x-ratelimit-reset': `${state.reset}`,
  'x-ratelimit-resource': 'core',
});

export const secondaryRefusal = (status: 403 | 429, retryAfterS: number | null): Refusal =>
  new Refusal(
    status,
    'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.',
    { headers: retryAfterS === null ? {} : { 'retry-after': `${retryAfterS}` } },
  );

export const createRateLimits = (now: () => number): RateLimits => {
  let primary: number | null = null;
  let secondary: SecondaryLimits | null = null;
  const windows = new Map<string, { used: number; endsAtMs: number }>();
  const creations = new Map<string, number[]>();
  const windowOf = (key: string): { used: number; endsAtMs: number } => {
    const known = windows.get(key);
    if (known !== undefined && known.endsAtMs > now()) return known;
    const fresh = { used: 0, endsAtMs: now() + hourMs };
    windows.set(key, fresh);
    return fresh;
  };
  const read = ({ key, limit: own }: Requester): RateState => {
    const { used, endsAtMs } = windowOf(key);
    const limit = primary ?? own;
    return { limit, used, remaining: Math.max(0, limit - used), reset: Math.ceil(endsAtMs / 1000) };
  };
  return {
    setPrimary: (limit) => {
      primary = limit;
    },
    setSecondary: (limits) => {
      secondary = limits;
    },
    read,
    take: (who) => {
      const state = read(who);
      if (state.remaining === 0)
        throw new Refusal(403, `API rate limit exceeded for ${who.key}.`, { headers: rateHeaders(state) });
      windowOf(who.key).used += 1;
      return read(who);
    },
    giveBack: (who) => {
      windowOf(who.key).used -= 1;
      return read(who);
    },
    takeCreation: ({ key }) => {
      if (secondary === null) return;
      const recent = (creations.get(key) ?? []).filter((at) => at > now() - hourMs);
      const inMinute = recent.filter((at) => at > now() - minuteMs);
      if (inMinute.length >= secondary.perMinute || recent.length >= secondary.perHour)
        throw secondaryRefusal(403, 60);
      creations.set(key, [...recent, now()]);
    },
  };
};
