// Whether somebody may write to a repository, as its forge says: asked once for all who want to know it at that moment,
// and believed for less than a minute.
import type { ForgeUser } from '../../forge/forge-event.ts';
import { type HostedForge } from '../../forge/hosted-forge.ts';
import { mayWrite } from '../../forge/hosted-talk.ts';

export interface RightsPlace {
  /** Of the forge. */
  readonly host: string;
  /** `owner/repo` */
  readonly repository: string;
}

type Person = Pick<ForgeUser, 'id' | 'login'>;

export interface RightsMemory {
  /** False also where the forge is not served. @throws HostedForgeFault, the signal's reason */
  mayWrite(place: RightsPlace, user: Person, signal: AbortSignal): Promise<boolean>;
  forget(place: RightsPlace, userId?: number): void;
}

interface Answer {
  readonly right: Promise<boolean>;
  /** Milliseconds since 1970; null while it is asked. */
  untilMs: number | null;
  waiting: number;
  readonly asking: AbortController;
}

const believedMs = 55_000;
const mostAnswers = 10_000;

const keyOf = ({ host, repository }: RightsPlace, user: Person): string =>
  // With the login: the forge is asked by it, and a new one of the same person gives another answer.
  JSON.stringify([host, repository, user.id, user.login]);

const prefixOf = ({ host, repository }: RightsPlace, userId?: number): string =>
  `${JSON.stringify([host, repository]).slice(0, -1)},${userId === undefined ? '' : `${userId},`}`;

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

  const isGood = ({ untilMs, asking }: Answer): boolean => {
    if (asking.signal.aborted) return false;
    if (untilMs === null) return true;
    const leftMs = untilMs - clock();
    // A clock that was set back must not make it good for longer.
    return leftMs > 0 && leftMs <= believedMs;
  };
  const makeRoom = (): void => {
    if (answers.size < mostAnswers) return;
    for (const [key, answer] of answers) if (!isGood(answer)) answers.delete(key);
    for (const key of answers.keys()) {
      if (answers.size < mostAnswers) return;
      answers.delete(key);
    }
  };
  const ask = (forge: HostedForge, place: RightsPlace, user: Person): Answer => {
    const key = keyOf(place, user);
    const asking = new AbortController();
    const askedAtMs = clock();
    const right = forge.rightOf(place.repository, user, asking.signal).then(mayWrite);
    const answer: Answer = { right, untilMs: null, waiting: 0, asking };
    makeRoom();
    answers.set(key, answer);
    right.then(
      () => {
        answer.untilMs = askedAtMs + believedMs;
      },
      () => {
        if (answers.get(key) === answer) answers.delete(key);
      },
    );
    return answer;
  };
  return {
    async mayWrite(place, user, signal) {
      const forge = forges.find(({ host }) => host === place.host);
      if (forge === undefined) return false;
      const known = answers.get(keyOf(place, user));
      const answer = known !== undefined && isGood(known) ? known : ask(forge, place, user);
      answer.waiting += 1;
      try {
        return await untilAborted(answer.right, signal);
      } finally {
        answer.waiting -= 1;
        // Nobody waits for it any more.
        if (answer.waiting === 0 && answer.untilMs === null)
          answer.asking.abort(new Error('nobody asks any more'));
      }
    },
    forget(place, userId) {
      const prefix = prefixOf(place, userId);
      for (const key of answers.keys()) if (key.startsWith(prefix)) answers.delete(key);
    },
  };
};
