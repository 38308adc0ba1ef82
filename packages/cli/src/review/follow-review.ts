// Submits a change to a server and waits for its end: progress over the live connection, the verdict by asking. A
// connection that is lost, or slow, costs progress and never the verdict.
import { setTimeout as sleep } from 'node:timers/promises';
import type { LiveEvent } from '@eka-ci/protocol/live';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { Review, type ReviewSubmission } from '@eka-ci/protocol/submission';
import type { Client } from '../client/client.ts';
import { ClientError } from '../client/client-error.ts';
import type { LiveConnection } from '../client/live.ts';

export interface FollowReviewDeps {
  readonly client: Pick<Client, 'get' | 'post'>;
  /** @throws ClientError */
  readonly openLive: () => Promise<LiveConnection>;
  readonly onEvent: (event: ReviewEvent) => void;
  /** The server has it: from here on it is judged, whatever becomes of us. */
  readonly onSubmitted: (review: Review) => void;
  /** How long a server that does not answer is asked again: it may be starting anew. */
  readonly patienceMs: number;
  /** Where a fault that may pass is tried again later: wait for that, or take it for the end. */
  readonly onRetry: 'wait' | 'end';
}

/** How often a review is asked for, where news come by themselves and where they do not. */
const liveIntervalMs = 10_000;
const pollIntervalMs = 300;
const subscribePatienceMs = 5000;

const isRetried = ({ fault, retryAtMs }: Review): boolean => fault !== null && retryAtMs !== null;

const isEnded = (review: Review, onRetry: FollowReviewDeps['onRetry']): boolean =>
  (review.state !== 'queued' && review.state !== 'judging') || (onRetry === 'end' && isRetried(review));

/** The server may be at its end, or its start: the same question may have an answer soon. */
const mayPass = (error: unknown): error is ClientError =>
  error instanceof ClientError &&
  (['SERVER_UNREACHABLE', 'SERVER_TOO_SLOW', 'ANSWER_CUT_SHORT', 'SERVER_NOT_RUNNING'].includes(error.code) ||
    (error.code === 'SERVER_REFUSED' && error.message.startsWith('SERVER_NOT_READY')));

/** The answer, unless the signal aborts before: what was asked is then of no interest any more. */
const unlessAborted = async <Answer>(answer: Promise<Answer>, signal: AbortSignal): Promise<Answer> => {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([answer, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
};

/** Asks until there is an answer, or the patience ends. */
const insist = async <Answer>(
  ask: () => Promise<Answer>,
  patienceMs: number,
  signal: AbortSignal,
): Promise<Answer> => {
  const endMs = performance.now() + patienceMs;
  for (;;) {
    try {
      return await unlessAborted(ask(), signal);
    } catch (error) {
      if (!mayPass(error) || performance.now() > endMs) throw error;
    }
    await unlessAborted(sleep(pollIntervalMs), signal);
  }
};

/** A bell that one waits for and others ring; a ring that nobody waits for is kept. */
const createBell = () => {
  let rung = Promise.withResolvers<void>();
  return {
    ring: (): void => rung.resolve(),
    /** Resolves at the next ring, or after the time. */
    async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
      const timer = setTimeout(rung.resolve, timeoutMs);
      try {
        await unlessAborted(rung.promise, signal);
      } finally {
        clearTimeout(timer);
      }
      rung = Promise.withResolvers();
    },
  };
};

type Bell = ReturnType<typeof createBell>;

/** What is heard of one change. */
interface News {
  /** False once nothing more will be heard. @throws what the showing of an event threw */
  isLive(): boolean;
  close(): void;
}

const silence: News = { isLive: () => false, close: () => {} };

interface Ear {
  readonly id: string;
  readonly bell: Bell;
  readonly onEvent: FollowReviewDeps['onEvent'];
}

const hear = (event: LiveEvent, { id, onEvent, bell }: Ear): void => {
  switch (event.type) {
    case 'change_progress':
      if (event.changeId === id) onEvent(event.event);
      return;
    case 'change_update':
      if (event.change.id === id) bell.ring();
      return;
    case 'subscribed':
    case 'skipped':
      bell.ring();
      return;
    case 'unsubscribed':
    case 'error':
    case 'build_state_change':
    case 'log_line':
    case 'job_stats_update':
    case 'job_complete':
      return;
  }
};

/** Without a live connection there is silence: the review is then asked for. */
const listen = async (
  { openLive, onEvent }: FollowReviewDeps,
  { id, bell, signal }: { readonly id: string; readonly bell: Bell; readonly signal: AbortSignal },
): Promise<News> => {
  let live: LiveConnection;
  try {
    live = await openLive();
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return silence;
  }
  let end: { readonly error: unknown } | null = null;
  const read = async (): Promise<null> => {
    for await (const event of live.events) hear(event, { id, onEvent, bell });
    return null;
  };
  const ended = (error: unknown): void => {
    end = { error };
    bell.ring();
  };
  read().then(ended, ended);
  live.send({ type: 'subscribe', resource: 'change', id });
  // So that nothing is missed: the change is not there yet.
  await bell.wait(subscribePatienceMs, signal);
  const isLive = (): boolean => {
    if (end === null) return true;
    // A connection may end as it likes; whoever shows events may not.
    if (end.error instanceof Error && !(end.error instanceof ClientError)) throw end.error;
    return false;
  };
  return { isLive, close: () => live.close() };
};

/** Where a fault is tried again, that is told once each time. */
const createRetryNotice = (onEvent: FollowReviewDeps['onEvent']) => {
  let told: number | null = null;
  return ({ fault, retryAtMs }: Review): void => {
    if (fault === null || retryAtMs === null || retryAtMs === told) return;
    told = retryAtMs;
    const at = new Date(retryAtMs).toISOString();
    onEvent({ type: 'notice', level: 'warning', message: `${fault} (it is tried again at ${at})` });
  };
};

/**
 * Submits and gives the review as it is at its end.
 * @param signal ends the following, not what the server does
 * @throws ClientError; the signal's reason
 */
export const followReview = async (
  deps: FollowReviewDeps,
  submission: ReviewSubmission,
  signal: AbortSignal,
): Promise<Review> => {
  const { client, patienceMs, onRetry } = deps;
  const { id } = submission;
  const bell = createBell();
  const tellRetry = createRetryNotice(deps.onEvent);
  const news = await listen(deps, { id, bell, signal });
  try {
    let review = await insist(() => client.post('/v1/reviews', submission, Review), patienceMs, signal);
    deps.onSubmitted(review);
    while (!isEnded(review, onRetry)) {
      tellRetry(review);
      await bell.wait(news.isLive() ? liveIntervalMs : pollIntervalMs, signal);
      review = await insist(() => client.get(`/v1/reviews/${id}`, Review), patienceMs, signal);
    }
    return review;
  } finally {
    news.close();
  }
};
