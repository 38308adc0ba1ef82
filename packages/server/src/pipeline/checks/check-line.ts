// Who runs next, of the checks of all changes: by class, then whose change runs fewest, then by age. One change never has
// all places: what it runs may take a day, and others go on meanwhile.

export interface CheckPlace {
  /** Of the change: those with lower numbers first. */
  readonly rank: number;
  readonly changeId: string;
}

export interface CheckLine {
  /** Runs `work` when its turn comes. @throws what `work` throws; the signal's reason where it aborts before its turn */
  run<Result>(place: CheckPlace, work: () => Promise<Result>, signal: AbortSignal): Promise<Result>;
}

interface Waiting extends CheckPlace {
  readonly start: () => void;
}

/** @param places 2 or more */
export const createCheckLine = (places: number): CheckLine => {
  /** In the order in which they came. */
  const waiting = new Set<Waiting>();
  const running = new Map<string, number>();
  let taken = 0;
  const runs = ({ changeId }: CheckPlace): number => running.get(changeId) ?? 0;
  const count = ({ changeId }: CheckPlace, by: 1 | -1): void => {
    taken += by;
    const now = (running.get(changeId) ?? 0) + by;
    if (now === 0) running.delete(changeId);
    else running.set(changeId, now);
  };
  const startNext = (): void => {
    while (taken < places) {
      let first: Waiting | undefined;
      for (const one of waiting) {
        if (runs(one) >= places - 1) continue;
        if (first === undefined || one.rank < first.rank) first = one;
        else if (one.rank === first.rank && runs(one) < runs(first)) first = one;
      }
      if (first === undefined) return;
      waiting.delete(first);
      count(first, 1);
      first.start();
    }
  };
  const turnOf = (place: CheckPlace, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const onAbort = (): void => {
        waiting.delete(one);
        reject(signal.reason as Error);
      };
      const one: Waiting = {
        ...place,
        start: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      waiting.add(one);
      startNext();
    });
  return {
    async run(place, work, signal) {
      signal.throwIfAborted();
      await turnOf(place, signal);
      try {
        signal.throwIfAborted();
        return await work();
      } finally {
        count(place, -1);
        startNext();
      }
    },
  };
};
