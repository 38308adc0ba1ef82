// One accepted command of a person in a repository within five seconds: what comes sooner is passed over in silence.
// In memory: a restart forgets it.

export interface AskedCommand {
  readonly host: string;
  /** `owner/repo` */
  readonly repository: string;
  readonly userId: number;
  readonly commentId: number;
  /** When the comment was written, in milliseconds since 1970. */
  readonly atMs: number;
}

export interface CommandRate {
  /** Never for a comment that was accepted before: it is carried out once more. */
  isTooSoon(asked: AskedCommand): boolean;
  accepted(asked: AskedCommand): void;
}

const leastBetweenMs = 5000;
const mostPeople = 10_000;

export const createCommandRate = (): CommandRate => {
  const last = new Map<string, AskedCommand>();
  const keyOf = ({ host, repository, userId }: AskedCommand): string =>
    JSON.stringify([host, repository, userId]);
  return {
    isTooSoon(asked) {
      const before = last.get(keyOf(asked));
      if (before === undefined || before.commentId === asked.commentId) return false;
      return Math.abs(asked.atMs - before.atMs) < leastBetweenMs;
    },
    accepted(asked) {
      const key = keyOf(asked);
      last.delete(key);
      last.set(key, asked);
      const [oldest] = last.keys();
      if (last.size > mostPeople && oldest !== undefined) last.delete(oldest);
    },
  };
};
