// The thread that parses summaries: one of a mass rebuild takes a third of a second, in which a server would stand still.
import { parentPort } from 'node:worker_threads';
import { ChangeSummary } from '@eka-ci/protocol/change-summary';
import { answerSummary } from './answer-summary.ts';
import { createHeldSummaries } from './held-summaries.ts';
import type { SummaryReply, SummaryRequest } from './summary-messages.ts';

if (parentPort === null) throw new Error('summary-thread.ts runs only as a thread');
const port = parentPort;
const held = createHeldSummaries();
const decoder = new TextDecoder();

const parse = (json: Uint8Array): ChangeSummary | null =>
  ChangeSummary.safeParse(JSON.parse(decoder.decode(json))).data ?? null;

const reply = ({ id, key, json, question }: SummaryRequest): SummaryReply => {
  let summary = held.find(key);
  if (summary === undefined) {
    if (json === null) return { id, kind: 'not-held' };
    summary = parse(json);
    held.keep(key, summary, json.byteLength);
  }
  const answer = summary === null ? { kind: 'no-summary' as const } : answerSummary(summary, question);
  return { id, kind: 'answer', answer };
};

const transfersOf = (message: SummaryReply): ArrayBuffer[] =>
  message.kind === 'answer' && message.answer.kind === 'document' ? [message.answer.bytes.buffer] : [];

port.on('message', (request: SummaryRequest) => {
  try {
    const message = reply(request);
    port.postMessage(message, transfersOf(message));
  } catch (error) {
    // The asking side throws it where the request is answered.
    port.postMessage({ id: request.id, kind: 'fault', error } satisfies SummaryReply);
  }
});
