// One evaluation at a time: each already uses every worker it may, and two of the same base would do the work twice.
import { type BuildClass, buildClasses } from '@eka-ci/core/build-order';

export interface EvaluationPlace {
  readonly class: BuildClass;
  /** Milliseconds since 1970. */
  readonly arrivedAtMs: number;
}

export interface EvaluationLine {
  /**
   * Runs `work` when its turn comes: by class, then by age. What runs is never ended for another.
   * @throws what `work` throws; the signal's reason where it aborts before its turn
   */
  run<Result>(place: EvaluationPlace, work: () => Promise<Result>, signal: AbortSignal): Promise<Result>;
}

interface Waiting {
  readonly rank: number;
  readonly arrivedAtMs: number;
  readonly start: () => void;
}

const isBefore = (a: Waiting, b: Waiting): boolean =>
  a.rank < b.rank || (a.rank === b.rank && a.arrivedAtMs < b.arrivedAtMs);

export const createEvaluationLine = (): EvaluationLine => {
  const waiting = new Set<Waiting>();
  let isBusy = false;
  const next = (): void => {
    let first: Waiting | undefined;
    for (const one of waiting) if (first === undefined || isBefore(one, first)) first = one;
    if (first === undefined) return;
    waiting.delete(first);
    isBusy = true;
    first.start();
  };
  const turnOf = ({ class: buildClass, arrivedAtMs }: EvaluationPlace, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const onAbort = (): void => {
        if (waiting.delete(one)) reject(signal.reason as Error);
      };
      const one: Waiting = {
        rank: buildClasses.indexOf(buildClass),
        arrivedAtMs,
        start() {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal.addEventListener('abort', onAbort);
      waiting.add(one);
      if (!isBusy) next();
    });
  return {
    async run(place, work, signal) {
      signal.throwIfAborted();
      await turnOf(place, signal);
      try {
        signal.throwIfAborted();
        return await work();
      } finally {
        isBusy = false;
        next();
      }
    },
  };
};
