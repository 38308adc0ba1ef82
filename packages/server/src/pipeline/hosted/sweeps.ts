// When a forge is asked for everything: at the start, from time to time, and when what we may reach has changed. Never
// twice at once, and the less often the more often it fails.
import { type BackOff, pauseAfter } from '@eka-ci/core/back-off';
import type { Later } from '../../lib/later.ts';

export interface SweepsDeps {
  /** @param lookedAt names of what is looked at beside it from its begin on */
  readonly sweep: (lookedAt: ReadonlySet<string>) => Promise<void>;
  /** `pauseMs`: how long it is left alone now. */
  readonly onFault: (error: unknown, about: { readonly failures: number; readonly pauseMs: number }) => void;
  /** How long the forge does not want to be asked after that. */
  readonly restAfter: (error: unknown) => number;
  readonly later: Later;
  readonly random: () => number;
  readonly backOff: BackOff;
  readonly everyMs: number;
  /** Between two that were asked for. */
  readonly leastMs: number;
}

export interface Sweeps {
  /** Begins with one. */
  start(): void;
  /** What we may reach has changed: one begins soon, and after the one that runs. */
  request(): void;
  /** It is known now how this is. */
  lookedAt(name: string): void;
  isSweeping(): boolean;
  /** Begins none any more; resolves when none runs. */
  stop(): Promise<void>;
}

export const createSweeps = (deps: SweepsDeps): Sweeps => {
  const looked = new Set<string>();
  let running: Promise<void> | null = null;
  let pause: { readonly end: () => void; readonly isSoon: boolean } | null = null;
  let isWanted = false;
  let isStopped = false;
  let failures = 0;

  const waitFor = (ms: number, isSoon: boolean): void => {
    pause?.end();
    pause = null;
    if (isStopped) return;
    const end = deps.later(ms, () => {
      pause = null;
      begin();
    });
    pause = { end, isSoon };
  };
  const sweep = async (): Promise<void> => {
    isWanted = false;
    looked.clear();
    try {
      await deps.sweep(looked);
      failures = 0;
    } catch (error) {
      if (isStopped) return;
      failures += 1;
      const pauseMs = Math.max(deps.restAfter(error), pauseAfter(deps.backOff, failures, deps.random()));
      deps.onFault(error, { failures, pauseMs });
      // Whatever was asked for meanwhile: the pause is for the forge's sake.
      return waitFor(pauseMs, true);
    }
    waitFor(isWanted ? deps.leastMs : deps.everyMs, isWanted);
  };
  const begin = (): void => {
    if (isStopped || running !== null) return;
    running = sweep().finally(() => {
      running = null;
      looked.clear();
    });
  };
  return {
    start: begin,
    request() {
      isWanted = true;
      if (pause !== null && !pause.isSoon) waitFor(deps.leastMs, true);
    },
    lookedAt(name) {
      if (running !== null) looked.add(name);
    },
    isSweeping: () => running !== null,
    async stop() {
      isStopped = true;
      pause?.end();
      pause = null;
      await running;
    },
  };
};
