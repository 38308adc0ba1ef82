// An operator lets the server run dry before it is stopped: nothing begins any more, what runs ends, and the change
// that is being judged goes back to the queue once none of its builds runs. In memory only: a restart ends it.
import type { StartGate } from '../builds/start-gate.ts';

export interface Drain extends StartGate {
  isDraining(): boolean;
  /** Idempotent. */
  start(): void;
  /** Work begins again. Idempotent. */
  undo(): void;
  /** To be called when nothing of a run runs and nothing may begin. */
  readonly ranDry: () => void;
}

export interface DrainDeps {
  /** Whether a run of builds is under way, whatever it waits for. */
  readonly isBuilding: () => boolean;
  /** Takes no more changes; `release` ends the judgement that goes on and queues it again. */
  readonly judging: { pause(): void; resume(): void; release(): void };
}

const reason = 'the server is drained ("ekaci drain --undo" ends that)';

export const createDrain = ({ isBuilding, judging }: DrainDeps): Drain => {
  let draining = false;
  const watchers = new Set<() => void>();
  const shutBecause = (): string | null => (draining ? reason : null);
  const turn = (to: boolean): void => {
    draining = to;
    for (const watcher of [...watchers]) watcher();
  };
  return {
    isDraining: () => draining,
    start() {
      if (draining) return;
      judging.pause();
      turn(true);
      // An evaluation under way is no build: it is done again, or found kept, when the change's turn comes.
      if (!isBuilding()) judging.release();
    },
    undo() {
      if (!draining) return;
      turn(false);
      judging.resume();
    },
    ranDry() {
      if (draining) judging.release();
    },
    shutBecause,
    look: () => Promise.resolve(shutBecause()),
    watch(onChange) {
      const watcher = (): void => onChange();
      watchers.add(watcher);
      return () => void watchers.delete(watcher);
    },
  };
};
