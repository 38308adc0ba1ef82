// The builds that are wanted now, as whoever asks sees them: memory only, gone with the run.
import type { DrvPath } from '@eka-ci/core/ids';
import type { BuildEvent } from './build-outcome.ts';

export interface LiveBuild {
  readonly drv: DrvPath;
  readonly attempt: number;
  readonly builder: string;
  /** What the builder printed last as its phase: any text. */
  readonly phase: string | null;
  /** Milliseconds since 1970. */
  readonly startedAtMs: number;
}

/** One run, as it is followed. */
export interface LiveRun {
  take(event: BuildEvent): void;
  /** The run has ended: nothing of it is live any more. */
  end(): void;
}

export interface LiveBuilds {
  /** @param why one sentence on what a derivation of the run waits for; null for any other */
  follow(wanted: Iterable<DrvPath>, why: (drv: DrvPath) => string | null): LiveRun;
  /** Whether a run is followed, whatever it waits for. */
  isBuilding(): boolean;
  /** Oldest first. */
  active(): readonly LiveBuild[];
  /** Inputs before dependents; which of the ready ones is next is the scheduler's secret. */
  queued(): readonly DrvPath[];
  why(drv: DrvPath): string | null;
}

interface Followed {
  readonly waiting: Set<DrvPath>;
  readonly active: Map<DrvPath, LiveBuild>;
  readonly why: (drv: DrvPath) => string | null;
}

const takeEvent = ({ waiting, active }: Followed, event: BuildEvent, nowMs: number): void => {
  switch (event.kind) {
    case 'build-started': {
      const { drv, attempt, builder } = event;
      waiting.delete(drv);
      active.set(drv, { drv, attempt, builder, phase: null, startedAtMs: nowMs });
      return;
    }
    case 'phase': {
      const build = active.get(event.drv);
      if (build !== undefined) active.set(event.drv, { ...build, phase: event.phase });
      return;
    }
    case 'retried':
      active.delete(event.drv);
      waiting.add(event.drv);
      return;
    case 'build-finished':
    case 'dependency-failed':
    case 'not-built':
      active.delete(event.outcome.drv);
      waiting.delete(event.outcome.drv);
      return;
    case 'log-line':
      return;
  }
};

/** @param clock milliseconds since 1970 */
export const createLiveBuilds = (clock: () => number): LiveBuilds => {
  const runs = new Set<Followed>();
  return {
    follow(wanted, why) {
      const run: Followed = { waiting: new Set(wanted), active: new Map(), why };
      runs.add(run);
      return {
        take: (event) => takeEvent(run, event, clock()),
        end: () => void runs.delete(run),
      };
    },
    isBuilding: () => runs.size > 0,
    active: () =>
      [...runs]
        .flatMap(({ active }) => [...active.values()])
        .toSorted((a, b) => a.startedAtMs - b.startedAtMs),
    queued: () => [...new Set([...runs].flatMap(({ waiting }) => [...waiting]))],
    why: (drv) => {
      for (const run of runs) {
        const reason = run.why(drv);
        if (reason !== null) return reason;
      }
      return null;
    },
  };
};
