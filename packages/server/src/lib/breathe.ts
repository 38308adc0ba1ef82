// Long work in the turns of the event loop: others have theirs in between.

/** Resolves when everybody who waited for a turn has had it. */
export const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** When a long work gives up its turn: asked between any two of its pieces, which must be small. */
export interface Breath {
  isDue(): boolean;
  /** Resolves when everybody who waited for a turn has had it. */
  take(): Promise<void>;
}

/** A quarter of what others may have to wait at most: what comes between two questions, and garbage, is added. */
const shortestTurnMs = 5;
/** Where others have long turns as well, this has as much of the loop as they, up to that. */
const longestTurnMs = 15;

/** Due where the turn has lasted too long. */
export const createBreath = (): Breath => {
  let begunAtMs = performance.now();
  let turnMs = shortestTurnMs;
  return {
    isDue: () => performance.now() - begunAtMs >= turnMs,
    take: async () => {
      const givenUpAtMs = performance.now();
      await breathe();
      begunAtMs = performance.now();
      turnMs = Math.min(longestTurnMs, Math.max(shortestTurnMs, begunAtMs - givenUpAtMs));
    },
  };
};

/** One after the other, with the turn given up between two where that is due. @throws what `use` throws */
export const eachBreathing = async <Item>(
  items: Iterable<Item>,
  breath: Breath,
  use: (item: Item) => void,
): Promise<void> => {
  for (const item of items) {
    use(item);
    if (breath.isDue()) await breath.take();
  }
};

/** All of it, with the turn given up between two steps where that is due. @throws what its steps throw */
export const takeBreathing = async <Result>(
  steps: Iterator<unknown, Result, void>,
  breath: Breath,
): Promise<Result> => {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (breath.isDue()) await breath.take();
  }
};
