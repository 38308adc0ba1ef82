// One review from request to outcome: shows the events as they come and keeps the last word.
import type { ChangeSummary } from '@eka-ci/protocol/change-summary';
import type { ReviewRequest } from '@eka-ci/protocol/review';
import type { ProgressView } from './progress/progress-view.ts';
import { type Cancellation, ReviewServerError, reviewEvents } from './review-server.ts';

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

/** Neutral is an answer where builds were not wanted, and none where something stands that nobody judged. */
const isAnswered = ({ jobs }: ChangeSummary, build: boolean): boolean =>
  jobs.every((job) => job.notJudged === null) && (!build || jobs.every((job) => !hasOnlyUnbuilt(job)));

const hasOnlyUnbuilt = ({ outcomeCounts, attributes }: ChangeSummary['jobs'][number]): boolean =>
  outcomeCounts['not-built'] > 0 && outcomeCounts['not-built'] >= attributes.added + attributes.changed;

const exitStatusOf = (summary: ChangeSummary, build: boolean): 0 | 1 | 2 => {
  switch (summary.conclusion) {
    case 'success':
      return 0;
    case 'neutral':
      return isAnswered(summary, build) ? 0 : 2;
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
  stop: Cancellation,
): Promise<ReviewOutcome> => {
  let outcome: ReviewOutcome = { kind: 'fault', code: 'REVIEW_SERVER_FAILED', message: 'no verdict came' };
  try {
    for await (const event of reviewEvents(request, stop)) {
      if (event.type === 'result') {
        const { summary, markdown, logsDir } = event;
        outcome = {
          kind: 'judged',
          summary,
          markdown,
          exitStatus: exitStatusOf(summary, request.build),
          logsDir,
        };
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
  return stop.cancel.aborted ? { kind: 'cancelled' } : outcome;
};
