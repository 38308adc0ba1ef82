// Change summaries as the database keeps them, and which of them a commit's is.
import { createHash } from 'node:crypto';
import type { CommitSha } from '@eka-ci/core/ids';
import { ChangeSummary } from '@eka-ci/protocol/change-summary';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ChangeListing, Database, StoredChange } from '../database/database.ts';
import { changeOnWire } from '../pipeline/change-on-wire.ts';
import { HttpError } from './errors.ts';
import { isKnownToClient } from './etag.ts';
import type { RouteDeps } from './route.ts';
import type { SummaryAnswer, SummaryPart, SummaryQuestion } from './summary/summary-question.ts';

/** Null where there is none, or one of a version that is no longer known. Slow for a large one. */
export const readSummary = ({ summaryJson }: Pick<StoredChange, 'summaryJson'>): ChangeSummary | null => {
  if (summaryJson === null) return null;
  return ChangeSummary.safeParse(JSON.parse(summaryJson)).data ?? null;
};

/** A head, and what it was judged against; a null base takes any. */
export interface Judged {
  readonly head: CommitSha;
  readonly base: CommitSha | null;
}

/**
 * The changes with that head, newest first.
 * @throws HttpError COMMIT_NOT_FOUND, SUMMARY_NOT_FOUND where none is judged against that base
 */
export const findChanges = async (
  changes: Pick<Database['changes'], 'findByHead'>,
  { head, base }: Judged,
): Promise<readonly [ChangeListing, ...ChangeListing[]]> => {
  const all = await changes.findByHead(head);
  if (all.length === 0) {
    throw new HttpError(
      'COMMIT_NOT_FOUND',
      'this commit is the head of no change: give the full id of a head',
    );
  }
  const [newest, ...older] = base === null ? all : all.filter((change) => change.base === base);
  if (newest === undefined) {
    throw new HttpError(
      'SUMMARY_NOT_FOUND',
      'this commit was not judged against that base: leave base_sha out for the newest judgement',
    );
  }
  return [newest, ...older];
};

/** What was asked of a summary that there is. */
export type Answered = Exclude<SummaryAnswer, { kind: 'no-summary' | 'no-job' }>;

/** @throws HttpError SUMMARY_JOB_NOT_FOUND */
const requireJob = (answer: Exclude<SummaryAnswer, { kind: 'no-summary' }>): Answered => {
  if (answer.kind !== 'no-job') return answer;
  const names = answer.names.join(', ');
  throw new HttpError('SUMMARY_JOB_NOT_FOUND', `the summary has no such job: it has ${names || 'none'}`);
};

/** Of the changes with one head, as many as are looked at for a summary. */
const maxChangesRead = 20;

/**
 * Asks the newest summary of a change with that head.
 * @throws HttpError COMMIT_NOT_FOUND, SUMMARY_NOT_FOUND, SUMMARY_JOB_NOT_FOUND
 */
export const askSummary = async (
  { database, summaries }: Pick<RouteDeps, 'database' | 'summaries'>,
  judged: Judged,
  question: SummaryQuestion,
): Promise<{ readonly change: ChangeListing; readonly answer: Answered }> => {
  const wanted = await findChanges(database.changes, judged);
  for (const change of wanted.slice(0, maxChangesRead)) {
    const answer = await summaries.ask(change, question);
    if (answer.kind !== 'no-summary') return { change, answer: requireJob(answer) };
  }
  throw new HttpError(
    'SUMMARY_NOT_FOUND',
    `this commit has no summary, its change is ${wanted[0].state}: ask again once it is judged`,
  );
};

const etagLength = 22;

/** @param facts whatever the answer is made of; the server's version is one of them */
const etagOf = (facts: readonly unknown[]): string => {
  const digest = createHash('sha256').update(JSON.stringify(facts));
  return `"${digest.digest('base64url').slice(0, etagLength)}"`;
};

/** True where the client has it already, and is told so. */
const isSpared = async ({ request, reply }: Exchange, etag: string): Promise<boolean> => {
  reply.headers({ etag, 'cache-control': 'no-cache' });
  if (!isKnownToClient(request, etag)) return false;
  await reply.code(304).send();
  return true;
};

const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

const json = 'application/json; charset=utf-8';

export interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

const requireDocument = (answer: Answered): Extract<Answered, { kind: 'document' }> => {
  if (answer.kind === 'document') return answer;
  throw new Error(`a document was asked for, and answered with ${answer.kind}`);
};

/** Sends a part of a summary as the thread wrote it: nothing of it is parsed or written anew here. */
export const sendPart = async (
  deps: RouteDeps,
  exchange: Exchange,
  { judged, part, job }: { readonly judged: Judged; readonly part: SummaryPart; readonly job: string | null },
): Promise<void> => {
  const { change } = await askSummary(deps, judged, { kind: 'jobs' });
  const etag = etagOf([deps.version, change.id, change.updatedAtMs, part, job]);
  if (await isSpared(exchange, etag)) return;
  const asked = await deps.summaries.ask(change, { kind: 'document', part, job });
  if (asked.kind === 'no-summary') {
    throw new HttpError(
      'SUMMARY_NOT_FOUND',
      'this summary was removed just now: ask again for what there is',
    );
  }
  const { bytes } = requireDocument(requireJob(asked));
  const type = part === 'markdown' ? 'text/markdown; charset=utf-8' : json;
  await exchange.reply.header('content-type', type).send(bufferOf(bytes));
};

/** Sends a change with its summary, as far as there is one, in the same way. */
export const sendChange = async (
  { summaries, version }: RouteDeps,
  exchange: Exchange,
  change: StoredChange,
): Promise<void> => {
  const facts = JSON.stringify(changeOnWire(change));
  if (await isSpared(exchange, etagOf([version, facts]))) return;
  const asked = await summaries.ask(change, { kind: 'document', part: 'summary', job: null });
  const summary = asked.kind === 'document' ? bufferOf(asked.bytes) : Buffer.from('null');
  const body = Buffer.concat([Buffer.from(`${facts.slice(0, -1)},"summary":`), summary, Buffer.from('}')]);
  await exchange.reply.header('content-type', json).send(body);
};
