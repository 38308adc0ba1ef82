// How long to leave somebody alone who has failed, the longer the more often in a row.

export interface BackOff {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** Of each pause: those who failed in the same moment are not asked in the same moment again. */
const jitter = 0.2;

/**
 * Doubles with each failure, from `firstMs` to `longestMs`, give or take a fifth, never outside of the two.
 * @param failures in a row, the one just seen among them: 1 or more
 * @param random at least 0 and less than 1
 */
export const pauseAfter = ({ firstMs, longestMs }: BackOff, failures: number, random: number): number => {
  // 2 to the power of more would be infinite, and is far past the longest.
  const doubled = firstMs * 2 ** Math.min(60, Math.max(0, failures - 1));
  const spread = Math.min(doubled, longestMs) * (1 - jitter + 2 * jitter * random);
  return Math.round(Math.min(longestMs, Math.max(firstMs, spread)));
};
