// Timers that can be taken back.

/** Calls `run` once after so long, unless what it gave is called before. */
export type Later = (delayMs: number, run: () => void) => () => void;

/** By the timers of Node. */
export const later: Later = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
};

/** Of Node: a timer for longer goes off at once. */
export const longestTimerMs = 2 ** 31 - 1;
