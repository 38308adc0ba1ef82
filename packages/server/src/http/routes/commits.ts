// What was found out about a commit: the summary of the change whose head it is, whole and in parts.
import type { CommitSha } from '@eka-ci/core/ids';
import { ChangeSummary } from '@eka-ci/protocol/change-summary';
import {
  CommitPackageChanges,
  CommitParams,
  CommitQuery,
  CommitRebuildImpact,
} from '@eka-ci/protocol/commit';
import { z } from 'zod';
import { type ApiApp, answers, badRequest, notFound, type RouteDeps } from '../route.ts';
import { askSummary, type Exchange, type Judged, sendPart } from '../stored-summary.ts';
import type { SummaryPart } from '../summary/summary-question.ts';

interface Asked {
  readonly params: z.infer<typeof CommitParams>;
  readonly query: z.infer<typeof CommitQuery>;
}

/** Both were matched against the form of an object name. */
const toSha = (text: string): CommitSha => text as CommitSha;

const judgedOf = ({ params, query }: Asked): Judged => ({
  head: toSha(params.sha),
  base: query.base_sha === undefined ? null : toSha(query.base_sha),
});

const request = { tags: ['commits'], params: CommitParams, querystring: CommitQuery };
const errors = { ...badRequest, ...notFound };

const createSending =
  (deps: RouteDeps, part: SummaryPart) =>
  (exchange: Exchange, asked: Asked): Promise<void> =>
    sendPart(deps, exchange, { judged: judgedOf(asked), part, job: asked.query.job ?? null });

/** As it was written for a forge; null where one job alone is asked for, or none was written. */
const findWrittenMarkdown = async (deps: RouteDeps, asked: Asked): Promise<string | null> => {
  if (asked.query.job !== undefined) return null;
  const { change } = await askSummary(deps, judgedOf(asked), { kind: 'jobs' });
  return (await deps.database.changes.find(change.id))?.markdown ?? null;
};

const addSummaries = (app: ApiApp, deps: RouteDeps): void => {
  const sendSummary = createSending(deps, 'summary');
  app.get(
    '/v1/commits/:sha/change-summary',
    {
      schema: {
        operationId: 'getChangeSummary',
        summary: 'What the change does and whether to merge it',
        ...request,
        response: { ...answers('The summary', ChangeSummary), ...errors },
      },
    },
    async (asked, reply) => {
      await sendSummary({ request: asked, reply }, asked);
      return reply;
    },
  );
  const sendMarkdown = createSending(deps, 'markdown');
  app.get(
    '/v1/commits/:sha/change-summary.md',
    {
      schema: {
        operationId: 'getChangeSummaryMarkdown',
        summary: 'The summary as a forge shows it',
        ...request,
        response: {
          200: {
            description: 'Markdown',
            content: { 'text/markdown; charset=utf-8': { schema: z.string() } },
          },
          ...errors,
        },
      },
    },
    async (asked, reply) => {
      const written = await findWrittenMarkdown(deps, asked);
      if (written !== null) return reply.header('content-type', 'text/markdown; charset=utf-8').send(written);
      await sendMarkdown({ request: asked, reply }, asked);
      return reply;
    },
  );
};

export const addCommitRoutes = (app: ApiApp, deps: RouteDeps): void => {
  addSummaries(app, deps);
  const sendChanges = createSending(deps, 'package-changes');
  app.get(
    '/v1/commits/:sha/package-changes',
    {
      schema: {
        operationId: 'getPackageChanges',
        summary: 'Packages that are added, removed, changed or rebuilt, by job',
        ...request,
        response: { ...answers('Package changes', CommitPackageChanges), ...errors },
      },
    },
    async (asked, reply) => {
      await sendChanges({ request: asked, reply }, asked);
      return reply;
    },
  );
  const sendImpact = createSending(deps, 'rebuild-impact');
  app.get(
    '/v1/commits/:sha/rebuild-impact',
    {
      schema: {
        operationId: 'getRebuildImpact',
        summary: 'How much is rebuilt and what causes it, by job',
        ...request,
        response: { ...answers('Rebuild impact', CommitRebuildImpact), ...errors },
      },
    },
    async (asked, reply) => {
      await sendImpact({ request: asked, reply }, asked);
      return reply;
    },
  );
};
