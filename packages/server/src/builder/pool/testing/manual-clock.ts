// A clock that stands until it is moved, and tells two times: that of the wall can be set by anybody.
import { setImmediate } from 'node:timers/promises';
import type { PoolClock } from '../pool-clock.ts';

export interface ManualClock extends PoolClock {
  /** Moves on, and lets everything happen that falls due on the way, in its order. */
  pass(ms: number): Promise<void>;
  setWall(ms: number): void;
  /** That are set. */
  timers(): number;
}

/** Whatever was begun has come as far as it can without the clock. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) await setImmediate();
};

export const createManualClock = (): ManualClock => {
  let [now, wall] = [0, 1_700_000_000_000];
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  const move = (to: number): void => {
    wall += to - now;
    now = to;
  };
  return {
    now: () => now,
    wall: () => wall,
    after(ms, run) {
      const timer = { at: now + ms, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    async pass(ms) {
      const end = now + ms;
      await settle();
      while (true) {
        const [next] = [...timers].filter(({ at }) => at <= end).toSorted((one, other) => one.at - other.at);
        if (next === undefined) break;
        timers.delete(next);
        move(next.at);
        next.run();
        await settle();
      }
      move(end);
    },
    setWall(ms) {
      wall = ms;
    },
    timers: () => timers.size,
  };
};
