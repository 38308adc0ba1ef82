// One review from request to outcome, on a server that is there for it alone.
import { randomUUID } from 'node:crypto';
import type { EphemeralOptions } from '@eka-ci/protocol/ephemeral';
import type { Review, ReviewSubmission } from '@eka-ci/protocol/submission';
import { createClient } from '../client/client.ts';
import { ClientError } from '../client/client-error.ts';
import { openLive } from '../client/live.ts';
import type { ProgressView } from '../progress/progress-view.ts';
import {
  type Cancellation,
  type EphemeralServer,
  ReviewServerError,
  startEphemeralServer,
} from './ephemeral-server.ts';
import { followReview } from './follow-review.ts';
import { faultOfClient, outcomeOf, type ReviewOutcome } from './review-outcome.ts';

export interface ReviewRequest {
  readonly review: Omit<ReviewSubmission, 'id'>;
  readonly server: EphemeralOptions;
}

const follow = async (
  { endpoint, gone }: EphemeralServer,
  { review }: ReviewRequest,
  view: ProgressView,
): Promise<Review> => {
  const ended = new AbortController();
  const followed = followReview(
    {
      client: createClient(endpoint),
      openLive: () => openLive(endpoint),
      onEvent: (event) => view.show(event),
      onSubmitted: () => {},
      // Longer than a server that fails takes to be gone, which tells more.
      patienceMs: 10_000,
      onRetry: 'end',
    },
    { id: randomUUID(), ...review },
    ended.signal,
  );
  try {
    return await Promise.race([followed, gone]);
  } finally {
    ended.abort();
    await followed.catch(() => {}); // Of one that lost the race: why is told by the winner.
  }
};

/** Null for what is no fault of the review, but ours. */
const faultOf = (error: unknown): ReviewOutcome | null => {
  if (error instanceof ClientError) return faultOfClient(error);
  if (!(error instanceof ReviewServerError)) return null;
  return { kind: 'fault', code: error.serverCode ?? error.code, message: error.message };
};

/** Never rejects for what a review may meet: that is an outcome. Every child has gone when it resolves. */
export const runReview = async (
  request: ReviewRequest,
  view: ProgressView,
  stop: Cancellation,
): Promise<ReviewOutcome> => {
  let outcome: ReviewOutcome;
  let server: EphemeralServer | null = null;
  try {
    server = await startEphemeralServer(request.server, stop);
    outcome = outcomeOf(await follow(server, request, view), request.review.build);
  } catch (error) {
    const fault = faultOf(error);
    if (fault === null) throw error;
    outcome = fault;
  } finally {
    await server?.end();
    view.end();
  }
  return stop.cancel.aborted ? { kind: 'cancelled' } : outcome;
};
