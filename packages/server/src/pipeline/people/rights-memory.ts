// What somebody may do in a repository, as its forge says: asked once for all who want to know it at that moment, and
// believed for less than a minute.
import type { ForgeUser } from '../../forge/forge-event.ts';
import type { HostedForge } from '../../forge/hosted-forge.ts';
import type { ForgeRight } from '../../forge/hosted-talk.ts';

export interface RightsPlace {
  /** Of the forge. */
  readonly host: string;
  /** `owner/repo` */
  readonly repository: string;
}

/** Whose rights may be other ones by now. */
export interface ForgottenRights {
  readonly host: string;
  /** In all of its repositories; a repository's own owner where that is named. */
  readonly account: string;
  /** `owner/repo`; null: all of the account's. */
  readonly repository: string | null;
  /** The forge's; null: everybody's. */
  readonly userId: number | null;
}

type Person = Pick<ForgeUser, 'id' | 'login'>;

export interface AskedRight {
  readonly signal: AbortSignal;
  /** An answer that is no older will do. */
  readonly believedMs: number;
}

export interface RightsMemory {
  /** None also where the forge is not served. @throws HostedForgeFault, the signal's reason */
  rightOf(place: RightsPlace, user: Person, asked: AskedRight): Promise<ForgeRight>;
  forget(which: ForgottenRights): void;
}

interface Answer extends RightsPlace {
  readonly userId: number;
  readonly right: Promise<ForgeRight>;
  /** Milliseconds since 1970. */
  readonly askedAtMs: number;
  isAnswered: boolean;
  waiting: number;
  readonly asking: AbortController;
}

/** However long somebody would believe it. */
const longestMs = 55_000;
const mostAnswers = 10_000;

const keyOf = ({ host, repository }: RightsPlace, user: Person): string =>
  // With the login: the forge is asked by it, and a new one of the same person gives another answer.
  JSON.stringify([host, repository, user.id, user.login]);

/** Forges take names in any case. */
const isSame = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

const isOf = (answer: Answer, { host, account, repository, userId }: ForgottenRights): boolean => {
  if (answer.host !== host || (userId !== null && answer.userId !== userId)) return false;
  if (repository !== null) return isSame(answer.repository, repository);
  return isSame(answer.repository.split('/')[0] ?? '', account);
};

const untilAborted = async <T>(promise: Promise<T>, signal: AbortSignal): Promise<T> => {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
};

export const createRightsMemory = (deps: {
  readonly forges: readonly HostedForge[];
  readonly clock: () => number;
}): RightsMemory => {
  const { forges, clock } = deps;
  const answers = new Map<string, Answer>();

  const isGood = ({ isAnswered, askedAtMs, asking }: Answer, believedMs: number): boolean => {
    if (asking.signal.aborted) return false;
    if (!isAnswered) return true;
    const ageMs = clock() - askedAtMs;
    // A clock that was set back must not make it good for longer.
    return ageMs >= 0 && ageMs < Math.min(believedMs, longestMs);
  };
  const makeRoom = (): void => {
    if (answers.size < mostAnswers) return;
    for (const [key, answer] of answers) if (!isGood(answer, longestMs)) answers.delete(key);
    for (const key of answers.keys()) {
      if (answers.size < mostAnswers) return;
      answers.delete(key);
    }
  };
  const ask = (forge: HostedForge, { host, repository }: RightsPlace, user: Person): Answer => {
    const key = keyOf({ host, repository }, user);
    const asking = new AbortController();
    const right = forge.rightOf(repository, user, asking.signal);
    const answer: Answer = {
      ...{ host, repository, userId: user.id, right },
      ...{ askedAtMs: clock(), isAnswered: false, waiting: 0, asking },
    };
    makeRoom();
    answers.set(key, answer);
    right.then(
      () => {
        answer.isAnswered = true;
      },
      () => {
        if (answers.get(key) === answer) answers.delete(key);
      },
    );
    return answer;
  };
  return {
    async rightOf(place, user, { signal, believedMs }) {
      const forge = forges.find(({ host }) => host === place.host);
      if (forge === undefined) return 'none';
      const known = answers.get(keyOf(place, user));
      const answer = known !== undefined && isGood(known, believedMs) ? known : ask(forge, place, user);
      answer.waiting += 1;
      try {
        return await untilAborted(answer.right, signal);
      } finally {
        answer.waiting -= 1;
        // Nobody waits for it any more.
        if (answer.waiting === 0 && !answer.isAnswered)
          answer.asking.abort(new Error('nobody asks any more'));
      }
    },
    forget(which) {
      for (const [key, answer] of answers) if (isOf(answer, which)) answers.delete(key);
    },
  };
};
