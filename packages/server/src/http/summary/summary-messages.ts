// What goes between the server and the thread that holds parsed summaries.
import type { SummaryAnswer, SummaryQuestion } from './summary-question.ts';

export interface SummaryRequest {
  readonly id: number;
  /** Of the summary: another one has another key. */
  readonly key: string;
  /** Its JSON as UTF-8, for a thread that does not hold it; null where it may. */
  readonly json: Uint8Array<ArrayBuffer> | null;
  readonly question: SummaryQuestion;
}

export type SummaryReply =
  | { readonly id: number; readonly kind: 'answer'; readonly answer: SummaryAnswer }
  /** Ask again with the text. */
  | { readonly id: number; readonly kind: 'not-held' }
  | { readonly id: number; readonly kind: 'fault'; readonly error: unknown };
