// One review from request to outcome: shows the events as they come and keeps the last word.
import type { ChangeSummary } from '@eka-ci/protocol/change-summary';
import type { ReviewRequest } from '@eka-ci/protocol/review';
import type { ProgressView } from './progress/progress-view.ts';
import { ReviewServerError, reviewEvents } from './review-server.ts';

export type ReviewOutcome =
  | {
      readonly kind: 'judged';
      readonly summary: ChangeSummary;
      readonly markdown: string;
      /** 0 or 1, or 2 where nothing could be concluded. */
      readonly exitStatus: 0 | 1 | 2;
      readonly logsDir: string | null;
    }
  | { readonly kind: 'fault'; readonly code: string; readonly message: string }
  | { readonly kind: 'cancelled' };

const exitStatusOf = (summary: ChangeSummary): 0 | 1 | 2 => {
  switch (summary.conclusion) {
    case 'success':
    case 'neutral':
      return 0;
    case 'failure':
      return 1;
    case 'pending':
    case 'cancelled':
    case 'timed-out':
      return 2;
  }
};

/** Never rejects for what a review may meet: that is an outcome. Every child has gone when it resolves. */
export const runReview = async (
  request: ReviewRequest,
  view: ProgressView,
  signal: AbortSignal,
): Promise<ReviewOutcome> => {
  let outcome: ReviewOutcome = { kind: 'fault', code: 'REVIEW_SERVER_FAILED', message: 'no verdict came' };
  try {
    for await (const event of reviewEvents(request, signal)) {
      if (event.type === 'result') {
        const { summary, markdown, logsDir } = event;
        outcome = { kind: 'judged', summary, markdown, exitStatus: exitStatusOf(summary), logsDir };
      } else if (event.type === 'fault') {
        outcome = { kind: 'fault', code: event.code, message: event.message };
      } else {
        view.show(event);
      }
    }
  } catch (error) {
    if (!(error instanceof ReviewServerError)) throw error;
    outcome = { kind: 'fault', code: error.code, message: error.message };
  } finally {
    view.end();
  }
  return signal.aborted ? { kind: 'cancelled' } : outcome;
};
