// Work that several wait for at once is done once, and ends when nobody waits for it any more.

/** Settles as `work` does, or rejects with the signal's reason as soon as there is one. */
export const unlessEnded = async <Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> => {
  const ended = Promise.withResolvers<never>();
  const end = (): void => ended.reject(signal.reason);
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  try {
    return await Promise.race([work, ended.promise]);
  } finally {
    signal.removeEventListener('abort', end);
  }
};

export interface WorkRun {
  /** Nobody waits any more. */
  readonly signal: AbortSignal;
  /** False once it was detached: what it comes to is for those who wait, and for nobody after them. */
  readonly isCurrent: () => boolean;
}

export interface SharedWork<Value> {
  /** Joins what runs under that key, or begins it. @throws what it throws; the signal's reason */
  join(key: string, begin: (run: WorkRun) => Promise<Value>, signal: AbortSignal): Promise<Value>;
  /** Whoever comes next begins anew. */
  detach(key: string): void;
}

interface Running<Value> {
  readonly result: Promise<Value>;
  readonly ending: AbortController;
  waiters: number;
}

export const createSharedWork = <Value>(): SharedWork<Value> => {
  const running = new Map<string, Running<Value>>();
  const leave = (key: string, one: Running<Value>): void => {
    if (running.get(key) === one) running.delete(key);
  };
  const start = (key: string, begin: (run: WorkRun) => Promise<Value>): Running<Value> => {
    const ending = new AbortController();
    const result = begin({ signal: ending.signal, isCurrent: () => running.get(key) === started });
    const started: Running<Value> = { result, ending, waiters: 0 };
    const leaveIt = (): void => leave(key, started);
    result.then(leaveIt, leaveIt);
    running.set(key, started);
    return started;
  };
  return {
    join: async (key, begin, signal) => {
      signal.throwIfAborted();
      const one = running.get(key) ?? start(key, begin);
      one.waiters += 1;
      try {
        return await unlessEnded(one.result, signal);
      } finally {
        one.waiters -= 1;
        if (one.waiters === 0) {
          leave(key, one);
          one.ending.abort();
        }
      }
    },
    detach: (key) => {
      running.delete(key);
    },
  };
};
