// Which pushes go in one go: the more often they have failed in company, the fewer of them together.
import type { StoredPush } from '../../database/database.ts';

/** A process of the driver and an exchange of questions for each group: few enough to be tried again, enough to be quick. */
export const pushesAtOnce = 128;

/** By how often each has failed; after that it goes alone. */
const sizes = [pushesAtOnce, 32, 8, 2] as const;

/** In the order in which they are to go. What is suspected to be one that cannot be pushed goes alone. */
export const pushGroups = (
  pushes: readonly StoredPush[],
  isSuspect: (push: StoredPush) => boolean,
): readonly (readonly StoredPush[])[] => {
  const sizeOf = (push: StoredPush): number => (isSuspect(push) ? 1 : (sizes[push.attempts] ?? 1));
  return [...Map.groupBy(pushes, sizeOf)]
    .toSorted(([one], [other]) => other - one)
    .flatMap(([size, some]) =>
      Array.from({ length: Math.ceil(some.length / size) }, (_, index) =>
        some.slice(index * size, (index + 1) * size),
      ),
    );
};
