// What a review came to, and the exit status that tells it.
import type { ChangeSummary } from '@eka-ci/protocol/change-summary';
import type { Review } from '@eka-ci/protocol/submission';
import type { ClientError } from '../client/client-error.ts';

/** Of a review that gives no verdict; the code is stable. */
export interface ReviewFault {
  readonly kind: 'fault';
  readonly code: string;
  readonly message: string;
}

export type ReviewOutcome =
  | {
      readonly kind: 'judged';
      readonly summary: ChangeSummary;
      readonly markdown: string;
      /** 0 or 1, or 2 where nothing could be concluded. */
      readonly exitStatus: 0 | 1 | 2;
    }
  | ReviewFault
  | { readonly kind: 'cancelled' };

/** Neutral is an answer where builds were not wanted, and none where something stands that nobody judged. */
const isAnswered = ({ jobs }: ChangeSummary, build: boolean): boolean =>
  jobs.every((job) => job.notJudged === null) && (!build || jobs.every((job) => !hasOnlyUnbuilt(job)));

const hasOnlyUnbuilt = ({ outcomeCounts, attributes }: ChangeSummary['jobs'][number]): boolean =>
  outcomeCounts['not-built'] > 0 && outcomeCounts['not-built'] >= attributes.added + attributes.changed;

const verdictStatus = (summary: ChangeSummary, build: boolean): 0 | 1 | 2 => {
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
    case 'action-required':
      return 2;
  }
};

/** A fault as the server writes it: `CODE: what to do`. */
const readFault = (text: string): ReviewFault => {
  const [, code = 'NO_VERDICT', message = text] = /^([A-Z][A-Z0-9_]*): ([^]*)$/.exec(text) ?? [];
  return { kind: 'fault', code, message };
};

/** What the server refuses has a code of its own. */
export const faultOfClient = ({ code, message }: ClientError): ReviewFault =>
  code === 'SERVER_REFUSED' ? readFault(message) : { kind: 'fault', code, message };

const noVerdict = (message: string): ReviewFault => ({ kind: 'fault', code: 'NO_VERDICT', message });

/** Of a review that has ended. */
export const outcomeOf = (review: Review, build: boolean): ReviewOutcome => {
  const { state, summary, markdown, fault, conclusion } = review;
  if (state === 'judged' && summary !== null) {
    return {
      kind: 'judged',
      summary,
      markdown: markdown ?? '',
      exitStatus: verdictStatus(summary, build),
    };
  }
  if (fault !== null) return readFault(fault);
  if (conclusion === 'cancelled') return noVerdict('it was cancelled at the server');
  return noVerdict(`the change is ${state}, and the server has no summary of it`);
};

export const exitStatusOf = (outcome: ReviewOutcome): number => {
  switch (outcome.kind) {
    case 'judged':
      return outcome.exitStatus;
    case 'fault':
      return 2;
    case 'cancelled':
      return 130;
  }
};

export const exitStatuses = `
Exit status:
  0    nothing newly fails
  1    something newly fails
  2    no verdict: wrong usage, no repository, a merge conflict, no Nix, an evaluation that died,
       nothing that could be built, more builds than --max-rebuilds
  130  cancelled
`;
