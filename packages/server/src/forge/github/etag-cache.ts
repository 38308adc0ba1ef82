// Answers that GitHub lets us ask about again for free: what did not change since is answered with 304.

export interface KeptAnswer {
  readonly etag: string;
  readonly text: string;
  /** The `Link` header, or null. */
  readonly link: string | null;
}

export interface EtagCache {
  find(key: string): KeptAnswer | null;
  keep(key: string, answer: KeptAnswer): void;
}

/** One that is larger is not kept: it would push out too many others. */
const largestShare = 16;

/** Keeps what was used last. @param maxCharacters of all texts together */
export const createEtagCache = (maxCharacters = 16 * 1024 * 1024, maxEntries = 5000): EtagCache => {
  // In the order of use, the oldest first.
  const kept = new Map<string, KeptAnswer>();
  let characters = 0;
  const drop = (key: string): void => {
    characters -= kept.get(key)?.text.length ?? 0;
    kept.delete(key);
  };
  return {
    find: (key) => {
      const answer = kept.get(key);
      if (answer === undefined) return null;
      kept.delete(key);
      kept.set(key, answer);
      return answer;
    },
    keep: (key, answer) => {
      drop(key);
      if (answer.text.length > maxCharacters / largestShare) return;
      kept.set(key, answer);
      characters += answer.text.length;
      for (const oldest of kept.keys()) {
        if (characters <= maxCharacters && kept.size <= maxEntries) break;
        drop(oldest);
      }
    },
  };
};
