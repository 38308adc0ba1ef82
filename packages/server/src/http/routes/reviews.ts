// Changes that somebody asks to have judged by hand: submitting one, and how it stands.
import { Review, ReviewParams, ReviewSubmission } from '@eka-ci/protocol/submission';
import type { FastifyReply } from 'fastify';
import { nameOfCaller } from '../../auth/caller.ts';
import type { StoredChange } from '../../database/database.ts';
import { GitError } from '../../git/git.ts';
import { changeOnWire } from '../../pipeline/change-on-wire.ts';
import type { SubmittedReview } from '../../pipeline/submit-review.ts';
import { HttpError } from '../errors.ts';
import {
  type ApiApp,
  answers,
  badRequest,
  conflict,
  forbidden,
  notFound,
  type RouteDeps,
  unjudgeable,
} from '../route.ts';
import { readSummary } from '../stored-summary.ts';

const tags = ['reviews'];

/** Shorter ones are read here, in 0.1 s at most: a thread for them takes longer to start, and this is asked once. */
const shortSummary = 2 * 1024 * 1024;

/** JSON text in UTF-8. */
const summaryOf = async ({ summaries }: RouteDeps, change: StoredChange): Promise<Buffer> => {
  const { summaryJson } = change;
  if (summaryJson === null) return Buffer.from('null');
  if (summaryJson.length <= shortSummary) return Buffer.from(JSON.stringify(readSummary(change)));
  const asked = await summaries.ask(change, { kind: 'document', part: 'summary', job: null });
  return asked.kind === 'document' ? Buffer.from(asked.bytes) : Buffer.from('null');
};

const sendReview = async (
  deps: RouteDeps,
  reply: FastifyReply,
  change: StoredChange,
): Promise<FastifyReply> => {
  const facts = JSON.stringify({ ...changeOnWire(change), markdown: change.markdown });
  const summary = await summaryOf(deps, change);
  const body = Buffer.concat([Buffer.from(`${facts.slice(0, -1)},"summary":`), summary, Buffer.from('}')]);
  return reply
    .header('content-type', 'application/json; charset=utf-8')
    .header('cache-control', 'no-store')
    .send(body);
};

/** @throws HttpError where it cannot be submitted */
const submit = async (deps: RouteDeps, submission: ReviewSubmission): Promise<SubmittedReview> => {
  try {
    return await deps.submitReview(submission);
  } catch (error) {
    // Who may submit may know why: it is their repository, and their machine.
    if (error instanceof GitError) throw new HttpError(error.code, error.message, { cause: error });
    throw error;
  }
};

const addSubmitting = (app: ApiApp, deps: RouteDeps): void => {
  app.post(
    '/v1/reviews',
    {
      schema: {
        operationId: 'submitReview',
        summary: 'Has a change judged; the same submission sent twice is judged once',
        tags,
        body: ReviewSubmission,
        response: {
          ...answers('It was submitted before: as it is now', Review),
          202: {
            description: 'It waits to be judged',
            content: { 'application/json': { schema: Review } },
          },
          ...badRequest,
          ...forbidden,
          ...conflict,
          ...unjudgeable,
        },
      },
    },
    async (request, reply) => {
      const who = nameOfCaller(await deps.access.requireAdmin(request));
      const submitted = await submit(deps, request.body);
      const subject = `the review ${request.body.id}`;
      deps.actions.audit({ who, action: 'submit', subject, effective: submitted.kind === 'new' });
      switch (submitted.kind) {
        case 'new':
          return sendReview(deps, reply.code(202), submitted.change);
        case 'known':
          return sendReview(deps, reply, submitted.change);
        case 'taken':
          throw new HttpError(
            'REVIEW_ID_TAKEN',
            `the id ${request.body.id} is that of another change: choose a new one`,
          );
        case 'refused':
          throw new HttpError('REQUEST_INVALID', `the request is not valid: ${submitted.message}`);
      }
    },
  );
};

export const addReviewRoutes = (app: ApiApp, deps: RouteDeps): void => {
  addSubmitting(app, deps);
  app.get(
    '/v1/reviews/:id',
    {
      schema: {
        operationId: 'getReview',
        summary: 'A submitted change with its summary, as JSON and as a forge would show it',
        tags,
        params: ReviewParams,
        response: { ...answers('As it is now', Review), ...badRequest, ...notFound },
      },
    },
    async ({ params }, reply) => {
      const change = await deps.database.changes.find(params.id);
      if (change?.kind !== 'submitted') {
        throw new HttpError('REVIEW_NOT_FOUND', 'nothing was submitted under this id, or it is long done');
      }
      return sendReview(deps, reply, change);
    },
  );
};
