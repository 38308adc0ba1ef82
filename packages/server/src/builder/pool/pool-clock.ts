// Time as a pool of builders sees it. What is waited for is counted by a clock that nobody sets: one that is set back an hour
// keeps no builder out for an hour.
import { performance } from 'node:perf_hooks';

export interface PoolClock {
  /** Milliseconds of a clock that only goes forward. */
  now(): number;
  /** Milliseconds since 1970, for people. */
  wall(): number;
  /** Calls `run` once, unless the function given back is called before. */
  after(ms: number, run: () => void): () => void;
}

export const machineClock: PoolClock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};
