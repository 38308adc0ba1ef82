// Two works of one judgement that do not wait for each other.

/** @throws what the first of them throws; the other is ended then, and has ended */
export const besides = async <One, Other>(
  signal: AbortSignal,
  one: (signal: AbortSignal) => Promise<One>,
  other: (signal: AbortSignal) => Promise<Other>,
): Promise<readonly [One, Other]> => {
  const ended = new AbortController();
  const both = AbortSignal.any([signal, ended.signal]);
  const works = [one(both), other(both)] as const;
  try {
    return await Promise.all(works);
  } finally {
    ended.abort();
    await Promise.allSettled(works);
  }
};
