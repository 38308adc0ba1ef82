// What shares a name is done one after the other, in the order in which it was asked for.

export interface Turns {
  /** Rejects as `work` does, which keeps nobody else from their turn. */
  next<T>(name: string, work: () => Promise<T>): Promise<T>;
}

export const createTurns = (): Turns => {
  const last = new Map<string, Promise<unknown>>();
  return {
    next<T>(name: string, work: () => Promise<T>): Promise<T> {
      const before = last.get(name) ?? Promise.resolve();
      const mine = before.then(work, work);
      const end = (): void => {
        if (last.get(name) === settled) last.delete(name);
      };
      const settled: Promise<void> = mine.then(end, end);
      last.set(name, settled);
      return mine;
    },
  };
};
