// Gets the secrets that a credential source names, when they are used: they change while the server runs. What was
// loaded is kept in memory, for a short time and nowhere else.
import type { CredentialSource } from '../config/credential-source.ts';
import type { Secret } from '../config/secret.ts';
import { createSharedWork, unlessEnded, type WorkRun } from '../lib/shared-work.ts';
import { CredentialError } from './credential-error.ts';
import { loadSource } from './load-source.ts';
import type { SourceAnswer, SourceHost } from './source.ts';

export interface LoadedCredentials {
  /** By name, such as `GITHUB_APP_ID`. */
  readonly values: ReadonlyMap<string, Secret>;
  /** A sentence each. */
  readonly warnings: readonly string[];
  /** How long the source says they still hold; null: it says nothing. */
  readonly leaseMs: number | null;
}

export interface Credentials {
  /**
   * From memory for at most 5 minutes, or most of the lease; one load for all who wait.
   * @throws CredentialError; the signal's reason
   */
  load(source: CredentialSource, signal: AbortSignal): Promise<LoadedCredentials>;
  /** What was loaded is refused by whoever it is for: the next load asks the source. */
  forget(source: CredentialSource): void;
}

export interface CredentialHost extends SourceHost {
  /** Told of each load before anybody gets what it gave. `secrets`: all of it, and what the source was asked with. */
  readonly onLoaded?: (
    source: CredentialSource,
    told: { readonly secrets: readonly Secret[]; readonly warnings: readonly string[] },
  ) => void;
  /** Milliseconds, from any start on; never goes back. */
  readonly clock?: () => number;
  /** Of one load, whatever its source does. */
  readonly timeoutMs?: number;
}

const longestKeptMs = 5 * 60_000;
/** The end of a lease is left to those who got it before. */
const keptPartOfLease = 0.8;
const loadTimeoutMs = 10_000;
/** Until a source that wants to be asked again is, after it gave nothing. */
const askAgainPauseMs = 60_000;

interface Held {
  readonly answer: SourceAnswer;
  readonly atMs: number;
}

const keptMs = ({ answer: { leaseMs } }: Held): number =>
  leaseMs === null ? longestKeptMs : Math.min(longestKeptMs, leaseMs * keptPartOfLease);

const keyOf = (source: CredentialSource): string =>
  JSON.stringify(Object.entries(source).toSorted(([one], [other]) => (one < other ? -1 : 1)));

const tooSlow = ({ kind }: CredentialSource, timeoutMs: number): CredentialError =>
  new CredentialError(
    'CREDENTIAL_TIMEOUT',
    `the credential source ${kind} gave nothing within ${timeoutMs / 1000} s: is what it asks up, and can this machine reach it?`,
  );

type Ask = (source: CredentialSource, ending: AbortSignal) => Promise<Held>;

const createAsk = ({ timeoutMs = loadTimeoutMs, ...host }: CredentialHost, clock: () => number): Ask => {
  const ask: Ask = async (source, ending) => {
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = AbortSignal.any([ending, timeout]);
    const atMs = clock();
    try {
      const answer = await unlessEnded(loadSource(source, host, signal), signal);
      const { values, askedWith, warnings } = answer;
      host.onLoaded?.(source, { secrets: [...values.values(), ...askedWith], warnings });
      return { answer, atMs };
    } catch (error) {
      throw timeout.aborted && !(error instanceof CredentialError) ? tooSlow(source, timeoutMs) : error;
    }
  };
  return ask;
};

/** One plan for each source: the next replaces it. A plan keeps no process from ending. */
const createPlans = (load: (source: CredentialSource) => Promise<unknown>) => {
  const timers = new Map<string, NodeJS.Timeout>();
  const plan = (source: CredentialSource, pauseMs: number | null): void => {
    const key = keyOf(source);
    clearTimeout(timers.get(key));
    timers.delete(key);
    if (pauseMs === null) return;
    const again = async (): Promise<void> => {
      try {
        await load(source);
      } catch (error) {
        // Whoever loads next is told: nobody waits for this one.
        const isPassing = error instanceof CredentialError && error.isPassing;
        plan(source, isPassing ? askAgainPauseMs : null);
      }
    };
    timers.set(key, setTimeout(() => void again(), pauseMs).unref());
  };
  return plan;
};

/** Everything lives in memory. A source that wants to be asked again by some time is, whether or not anybody loads. */
export const createCredentials = (host: CredentialHost): Credentials => {
  const { clock = () => performance.now() } = host;
  const held = new Map<string, Held>();
  const loads = createSharedWork<Held>();
  const ask = createAsk(host, clock);

  const askSource = (source: CredentialSource, signal: AbortSignal): Promise<Held> => {
    const key = keyOf(source);
    const begin = async (run: WorkRun): Promise<Held> => {
      const one = await ask(source, run.signal);
      if (run.isCurrent()) held.set(key, one);
      planNext(source, one.answer.askAgainMs);
      return one;
    };
    return loads.join(key, begin, signal);
  };
  const planNext = createPlans((source) => askSource(source, new AbortController().signal));

  const shown = ({ answer: { values, warnings, leaseMs }, atMs }: Held): LoadedCredentials => ({
    values,
    warnings,
    leaseMs: leaseMs === null ? null : Math.max(0, leaseMs - (clock() - atMs)),
  });

  return {
    load: async (source, signal) => {
      signal.throwIfAborted();
      const known = held.get(keyOf(source));
      if (known !== undefined && clock() - known.atMs < keptMs(known)) return shown(known);
      held.delete(keyOf(source));
      return shown(await askSource(source, signal));
    },
    forget: (source) => {
      held.delete(keyOf(source));
      loads.detach(keyOf(source));
    },
  };
};
