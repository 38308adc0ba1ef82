// Lets only so many of the same thing be done at once; the others wait their turn.

export interface Turns {
  /** First come, first served. What `work` throws is passed on. @throws the signal's reason when it aborts before the turn has come */
  take<Result>(work: () => Promise<Result>, signal?: AbortSignal): Promise<Result>;
}

/** @param atOnce 1 or more */
export const createTurns = (atOnce: number): Turns => {
  const waiting = new Set<() => void>();
  let taken = 0;
  const waitForTurn = async (signal: AbortSignal | undefined): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const giveUp = (): void => resolve();
    waiting.add(resolve);
    signal?.addEventListener('abort', giveUp, { once: true });
    await promise;
    // A signal may live as long as the server.
    signal?.removeEventListener('abort', giveUp);
    // Whoever was given the turn in the same moment passes it on below.
    if (waiting.delete(resolve)) throw signal?.reason;
  };
  const pass = (): void => {
    const [next] = waiting;
    if (next === undefined) {
      taken--;
      return;
    }
    waiting.delete(next);
    next();
  };
  return {
    async take(work, signal) {
      signal?.throwIfAborted();
      if (taken < atOnce) taken++;
      else await waitForTurn(signal);
      try {
        signal?.throwIfAborted();
        return await work();
      } finally {
        pass();
      }
    },
  };
};
