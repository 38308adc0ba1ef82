// Long work in the turns of the event loop: others have theirs in between.

/** Resolves when everybody who waited for a turn has had it. */
export const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Gives up the turn after every `each` of them. */
export async function* breathing<Item>(items: Iterable<Item>, each: number): AsyncGenerator<Item> {
  let given = 0;
  for (const item of items) {
    yield item;
    if (++given % each === 0) await breathe();
  }
}
