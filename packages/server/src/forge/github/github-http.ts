// Asks GitHub: paced by what it says of its limits, asked again where that can help, every answer parsed.
import { setTimeout as sleepFor } from 'node:timers/promises';
import { pauseAfter } from '@eka-ci/core/back-off';
import type { Secret } from '../../config/secret.ts';
import { createTurns, type Turns } from '../../lib/turns.ts';
import { apiUrlOf, graphqlPath } from './api-path.ts';
import { createEtagCache, type EtagCache, type KeptAnswer } from './etag-cache.ts';
import { type Exchange, exchange } from './exchange.ts';
import type {
  GithubAnswer,
  GithubCall,
  GithubCallReport,
  GithubHttp,
  GithubIdentity,
} from './github-client.ts';
import { GithubError } from './github-error.ts';
import { type Judgement, judgeAnswer, readLimit, skewOf } from './judge-answer.ts';
import { createPace, type LimitReport, type Pace } from './pace.ts';
import { readAnswer } from './read-answer.ts';

export interface GithubHttpDeps {
  /** `https://api.github.com`, or `https://HOST/api/v3`; no slash at the end. */
  readonly apiUrl: string;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly fetch?: typeof globalThis.fetch;
  readonly sleep?: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** 0…1, as Math.random. */
  readonly random?: () => number;
  readonly onCall?: (report: GithubCallReport) => void;
  readonly onLimit?: (identity: string, limit: LimitReport) => void;
  /** Of one request. @default 30,000 */
  readonly timeoutMs?: number;
  /** How long a call waits for GitHub's limits, all in all, before it gives up with the time. @default 60,000 */
  readonly patienceMs?: number;
  /** @default 32 MiB */
  readonly maxAnswerBytes?: number;
}

/** GitHub's bound, over REST and GraphQL together. */
const mostAtOnce = 100;
const mostTries = 4;
const backOff = { firstMs: 1000, longestMs: 30_000 };
/** GitHub asks for at least this where it complains without a time, and for longer each time that follows. */
const firstComplaintMs = 60_000;
const longestComplaintMs = 60 * 60_000;

interface Shared extends Required<Omit<GithubHttpDeps, 'onCall' | 'onLimit'>> {
  readonly onCall: (report: GithubCallReport) => void;
  readonly onLimit: (identity: string, limit: LimitReport) => void;
  readonly turns: Turns;
  readonly cache: EtagCache;
}

interface Asker {
  readonly identity: GithubIdentity;
  readonly pace: Pace;
  readonly oneAtATime: Turns;
}

/** A call on its way. */
interface Underway {
  readonly call: GithubCall<unknown>;
  readonly signal: AbortSignal | undefined;
  /** Faults so far. */
  tries: number;
  /** How long it may still wait. */
  patienceMs: number;
  hadNewToken: boolean;
}

const headersFor = (
  token: Secret,
  call: GithubCall<unknown>,
  kept: KeptAnswer | null,
): Record<string, string> => ({
  accept: 'application/vnd.github+json',
  'x-github-api-version': '2022-11-28',
  'user-agent': 'EkaCI',
  authorization: `Bearer ${token.reveal()}`,
  ...(call.body !== undefined && { 'content-type': 'application/json' }),
  ...(kept !== null && { 'if-none-match': kept.etag }),
});

const limitedUntil = (operation: string, retryAtMs: number, cause?: unknown): GithubError =>
  new GithubError(
    'GITHUB_RATE_LIMITED',
    `${operation}: GitHub's limit is reached until ${new Date(retryAtMs).toISOString()}; it goes on by itself then`,
    { retryAtMs, cause },
  );

/** @throws GithubError GITHUB_RATE_LIMITED where that is longer than the call has patience for */
const wait = async (
  { clock, sleep }: Shared,
  underway: Underway,
  { waitMs, cause }: { readonly waitMs: number; readonly cause?: unknown },
): Promise<void> => {
  if (waitMs <= 0) return;
  if (waitMs > underway.patienceMs) throw limitedUntil(underway.call.operation, clock() + waitMs, cause);
  underway.patienceMs -= waitMs;
  try {
    await sleep(waitMs, underway.signal);
  } catch (error) {
    // Whoever does not want it any more said why.
    underway.signal?.throwIfAborted();
    throw error;
  }
};

const outcomeOf = (result: Exchange, judged: Judgement): GithubCallReport['outcome'] => {
  if (result.kind === 'no-answer') return 'unreachable';
  if (result.status === 304) return 'not-modified';
  switch (judged.kind) {
    case 'taken':
      return 'ok';
    case 'passing':
      return 'fault';
    case 'limited':
    case 'unauthorised':
    case 'refused':
      return judged.kind;
  }
};

const unreachable = (operation: string, result: Extract<Exchange, { kind: 'no-answer' }>): Judgement => ({
  kind: 'passing',
  afterMs: null,
  error: new GithubError(
    'GITHUB_UNREACHABLE',
    `${operation}: GitHub does not answer: is api_url of the app right, and reached from this machine?`,
    { cause: result.cause, isMaybeDone: result.isMaybeDone },
  ),
});

interface Sent {
  readonly token: Secret;
  readonly result: Exchange;
  readonly judged: Judgement;
  readonly kept: KeptAnswer | null;
}

const cacheKey = (asker: Asker, path: string): string => `${asker.identity.name} ${path}`;

const sendOnce = async (shared: Shared, asker: Asker, { call, signal }: Underway): Promise<Sent> => {
  const token = await asker.identity.token(signal);
  const kept = call.method === 'GET' ? shared.cache.find(cacheKey(asker, call.path)) : null;
  const request = {
    method: call.method,
    url: apiUrlOf(shared.apiUrl, call.path),
    headers: headersFor(token, call, kept),
    ...(call.body !== undefined && { body: JSON.stringify(call.body) }),
  };
  const startedAtMs = shared.clock();
  const result = await shared.turns.take(async () => await exchange(request, { ...shared, signal }), signal);
  const nowMs = shared.clock();
  const hide = (text: string): string => text.replaceAll(token.reveal(), '[redacted]');
  const asked = { operation: call.operation, nowMs, hide };
  const judged = result.kind === 'answer' ? judgeAnswer(result, asked) : unreachable(call.operation, result);
  const outcome = outcomeOf(result, judged);
  shared.onCall({ operation: call.operation, outcome, durationMs: Math.max(0, nowMs - startedAtMs) });
  const limit = result.kind === 'answer' ? readLimit(result.headers, nowMs) : null;
  if (limit !== null) {
    asker.pace.report(limit);
    shared.onLimit(asker.identity.name, limit);
  }
  return { token, result, judged, kept };
};

/** Sends it when the limits that are known let it go. */
const sendInTime = async (shared: Shared, asker: Asker, underway: Underway): Promise<Sent> => {
  const { pace } = asker;
  const { path, creates = false } = underway.call;
  const resource = path === graphqlPath ? 'graphql' : 'core';
  const waitMs = (): number => {
    const nowMs = shared.clock();
    return Math.max(pace.waitMs(resource, nowMs), creates ? pace.contentWaitMs(nowMs) : 0);
  };
  for (;;) {
    await wait(shared, underway, { waitMs: waitMs() });
    if (!creates) return await sendOnce(shared, asker, underway);
    const sent = await asker.oneAtATime.take(async () => {
      // While this one waited for its turn, those before it may have used up what there was.
      if (waitMs() > 0) return null;
      pace.spendContent(shared.clock());
      return await sendOnce(shared, asker, underway);
    }, underway.signal);
    if (sent !== null) return sent;
  }
};

const complaintMs = (strikes: number): number =>
  Math.min(longestComplaintMs, firstComplaintMs * 2 ** (strikes - 1));

const mayRepeat = ({ method, repeat }: GithubCall<unknown>, error: GithubError): boolean => {
  switch (repeat ?? (method === 'POST' ? 'unless-done' : 'always')) {
    case 'always':
      return true;
    case 'unless-done':
      return !error.isMaybeDone;
    case 'never':
      return false;
  }
};

/** Waits until it is time to try again. @throws GithubError where that would not help */
const prepareNextTry = async (
  shared: Shared,
  { pace, identity }: Asker,
  { underway, sent }: { readonly underway: Underway; readonly sent: Sent },
): Promise<void> => {
  const { judged, result } = sent;
  const { call } = underway;
  switch (judged.kind) {
    case 'taken':
      return;
    case 'refused':
      throw judged.error;
    case 'unauthorised': {
      const skewMs = result.kind === 'answer' ? skewOf(result.headers, shared.clock()) : null;
      const hasChance = identity.refused(sent.token, judged.says, { skewMs });
      if (!hasChance || underway.hadNewToken) throw judged.error;
      underway.hadNewToken = true;
      return;
    }
    case 'limited': {
      // A limit that is over at once would be asked about without end.
      const waitMs = Math.max(backOff.firstMs, judged.afterMs ?? complaintMs(pace.strike()));
      pace.block(shared.clock() + waitMs);
      // The next try waits for the block with everybody else; here it only may run out of patience.
      if (waitMs <= underway.patienceMs) return;
      throw limitedUntil(call.operation, shared.clock() + waitMs, judged.error);
    }
    case 'passing': {
      underway.tries += 1;
      if (underway.tries >= mostTries || !mayRepeat(call, judged.error)) throw judged.error;
      const waitMs = Math.max(judged.afterMs ?? 0, pauseAfter(backOff, underway.tries, shared.random()));
      await wait(shared, underway, { waitMs, cause: judged.error });
      return;
    }
  }
};

const ask = async <T>(
  shared: Shared,
  asker: Asker,
  { call, signal }: { readonly call: GithubCall<T>; readonly signal: AbortSignal | undefined },
): Promise<GithubAnswer<T>> => {
  const underway: Underway = { call, signal, tries: 0, patienceMs: shared.patienceMs, hadNewToken: false };
  for (;;) {
    const sent = await sendInTime(shared, asker, underway);
    if (sent.judged.kind === 'taken' && sent.result.kind === 'answer') {
      asker.pace.forgive();
      const { apiUrl, cache } = shared;
      const keep = (kept: KeptAnswer): void => {
        if (call.method === 'GET') cache.keep(cacheKey(asker, call.path), kept);
      };
      return readAnswer(call, sent.result, { apiUrl, kept: sent.kept, keep });
    }
    await prepareNextTry(shared, asker, { underway, sent });
  }
};

/** One for each address of an API: its limits, cache and places are shared by all who ask there. */
export const createGithubHttp = (deps: GithubHttpDeps): GithubHttp => {
  const shared: Shared = {
    fetch: globalThis.fetch,
    sleep: async (ms, signal) => await sleepFor(ms, undefined, signal === undefined ? {} : { signal }),
    random: Math.random,
    onCall: () => {},
    onLimit: () => {},
    timeoutMs: 30_000,
    patienceMs: 60_000,
    maxAnswerBytes: 32 * 1024 * 1024,
    ...deps,
    turns: createTurns(mostAtOnce),
    cache: createEtagCache(),
  };
  const askers = new Map<string, Asker>();
  const askerOf = (identity: GithubIdentity): Asker => {
    const known = askers.get(identity.name);
    // What is known of the limits stays, however often somebody asks for a client.
    const asker = { pace: createPace(), oneAtATime: createTurns(1), ...known, identity };
    askers.set(identity.name, asker);
    return asker;
  };
  return {
    apiUrl: deps.apiUrl,
    as: (identity) => {
      const asker = askerOf(identity);
      return {
        call: async (call, signal) => (await ask(shared, asker, { call, signal })).value,
        page: async (call, signal) => await ask(shared, asker, { call, signal }),
        contentBudget: () => asker.pace.contentBudget(shared.clock()),
      };
    },
  };
};
