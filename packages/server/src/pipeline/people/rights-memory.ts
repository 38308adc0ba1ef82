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
  /** The forge's number of it: it is asked first what that is called now. Another one may have the name. @default by name */
  readonly repositoryId?: number;
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

const keyOf = ({ host, repository, repositoryId = 0 }: RightsPlace, user: Person): string =>
  // With the login: the forge is asked by it, and a new one of the same person gives another answer.
  JSON.stringify([host, repository, repositoryId, user.id, user.login]);

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

/** Longer than a forge takes. */
const nameTimeoutMs = 20_000;
const nameBelievedMs = 20_000;

/** What repositories are called now, asked once for all people. */
const createNamesNow = (clock: () => number) => {
  const known = new Map<string, { readonly atMs: number; readonly name: Promise<string | null> }>();
  const find = async (forge: HostedForge, id: number, name: string): Promise<string | null> => {
    const found = await forge.findRepository({ id, name }, AbortSignal.timeout(nameTimeoutMs));
    return found?.id === id ? found.name : null;
  };
  return {
    async of(forge: HostedForge, { host, repository, repositoryId }: RightsPlace): Promise<string | null> {
      if (repositoryId === undefined) return repository;
      const key = `${host}#${repositoryId} ${repository}`;
      const before = known.get(key);
      const ageMs = clock() - (before?.atMs ?? 0);
      if (before !== undefined && ageMs >= 0 && ageMs < nameBelievedMs) return before.name;
      const now = { atMs: clock(), name: find(forge, repositoryId, repository) };
      if (known.size >= mostAnswers) known.clear();
      known.set(key, now);
      now.name.catch(() => {
        if (known.get(key) === now) known.delete(key);
      });
      return now.name;
    },
    forget: () => known.clear(),
  };
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
  const namesNow = createNamesNow(clock);
  const askRight = async (forge: HostedForge, place: RightsPlace, user: Person, signal: AbortSignal) => {
    const name = await namesNow.of(forge, place);
    return name === null ? 'none' : forge.rightOf(name, user, signal);
  };
  const ask = (forge: HostedForge, place: RightsPlace, user: Person): Answer => {
    const { host, repository } = place;
    const key = keyOf(place, user);
    const asking = new AbortController();
    const right = askRight(forge, place, user, asking.signal);
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
      namesNow.forget();
      for (const [key, answer] of answers) if (isOf(answer, which)) answers.delete(key);
    },
  };
};
