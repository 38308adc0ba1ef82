// Finds what somebody probably meant: the known name closest to the one they wrote.

const longestCompared = 100;

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
const editDistance = (a: string, b: string): number => {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let best = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        best = Math.min(best, (beforePrevious[column - 2] ?? 0) + 1);
      }
      current.push(best);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] ?? 0;
};

/** The last part of a path-like name: `origin/main` is near `main` whatever the remote is called. */
const lastPart = (name: string): string => name.slice(name.lastIndexOf('/') + 1);

const score = (wanted: string, candidate: string): number => {
  const [a, b] = [wanted.toLowerCase(), candidate.toLowerCase()];
  return a === b || lastPart(a) === lastPart(b) ? 0 : editDistance(a, b);
};

/**
 * Up to `limit` of `known` that are close to `wanted`, nearest first; none when nothing is close.
 * @param limit @default 3
 */
export const nearestNames = (wanted: string, known: Iterable<string>, limit = 3): readonly string[] => {
  if (wanted === '' || wanted.length > longestCompared) return [];
  const allowed = Math.max(1, Math.floor(wanted.length / 3));
  const near: { name: string; distance: number }[] = [];
  for (const name of known) {
    if (Math.abs(name.length - wanted.length) > allowed && lastPart(name) !== lastPart(wanted)) continue;
    const distance = score(wanted, name);
    if (distance <= allowed) near.push({ name, distance });
  }
  near.sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1));
  return near.slice(0, limit).map(({ name }) => name);
};
