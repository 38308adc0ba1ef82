// Counts what somebody did within the last minute or so, of as many as are remembered.

export interface RateWindow {
  /** @returns whether it may be done: false from the one on that is too many, until the minute is over */
  take(key: string): boolean;
}

const windowMs = 60_000;
/** Of more than so many, those whose minute began first are forgotten. */
const mostKeys = 10_000;

/** @param clock milliseconds since 1970 */
export const createRateWindow = (perMinute: number, clock: () => number): RateWindow => {
  const counts = new Map<string, { readonly fromMs: number; count: number }>();
  return {
    take(key) {
      const nowMs = clock();
      const known = counts.get(key);
      // A clock that was set back must not hold anybody up for longer.
      if (known !== undefined && nowMs >= known.fromMs && nowMs - known.fromMs < windowMs) {
        known.count += 1;
        return known.count <= perMinute;
      }
      counts.delete(key);
      counts.set(key, { fromMs: nowMs, count: 1 });
      const [oldest] = counts.keys();
      if (counts.size > mostKeys && oldest !== undefined) counts.delete(oldest);
      return perMinute >= 1;
    },
  };
};
