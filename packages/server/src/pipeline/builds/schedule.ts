// Builds what is wanted: every derivation once, inputs first, within the slots. The loop itself is BuildRun.
import { BuildRun } from './build-run.ts';
import type { ScheduledBuilds, ScheduleOptions, Slots } from './schedule-options.ts';

export type { BuildEvent, BuildOutcome } from './build-outcome.ts';
export {
  type ScheduledBuilds,
  type ScheduleOptions,
  type Slots,
} from './schedule-options.ts';

const checkSlots = (slots: Slots): void => {
  for (const [kind, count] of Object.entries(slots)) {
    if (Number.isInteger(count) && count >= 1) continue;
    throw new RangeError(
      `slots.${kind} is ${count}: give a whole number of at least 1, or nothing would ever be built`,
    );
  }
};

/** @throws RangeError for slots that no build would fit in */
export const scheduleBuilds = (options: ScheduleOptions): ScheduledBuilds => {
  checkSlots(options.slots);
  const run = new BuildRun(options);
  return {
    finished: run.run(),
    extend: (more) => run.extend(more),
    close: () => run.close(),
    outcomeOf: (drv) => run.outcomeOf(drv),
    expectedLeft: () => run.expectedLeft(),
    why: (drv) => run.why(drv),
  };
};
