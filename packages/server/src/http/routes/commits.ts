// What was found out about a commit: the summary of the change whose head it is, whole and in parts.
import { renderMarkdown } from '@eka-ci/core/change-summary/markdown';
import type { CommitSha } from '@eka-ci/core/ids';
import { ChangeSummary } from '@eka-ci/protocol/change-summary';
import {
  CommitPackageChanges,
  CommitParams,
  CommitQuery,
  CommitRebuildImpact,
} from '@eka-ci/protocol/commit';
import { z } from 'zod';
import type { HttpDeps } from '../http-options.ts';
import { type ApiApp, answers, badRequest, notFound } from '../route.ts';
import { type CommitSummary, findSummary, ofJob } from '../stored-summary.ts';

interface Asked {
  readonly params: z.infer<typeof CommitParams>;
  readonly query: z.infer<typeof CommitQuery>;
}

/** Both were matched against the form of an object name. */
const toSha = (text: string): CommitSha => text as CommitSha;

const find = async ({ database }: HttpDeps, { params, query }: Asked): Promise<CommitSummary> => {
  const base = query.base_sha === undefined ? null : toSha(query.base_sha);
  const found = await findSummary(database.changes, toSha(params.sha), base);
  return query.job === undefined ? found : { ...found, summary: ofJob(found.summary, query.job) };
};

const shasOf = ({ change }: ChangeSummary) => ({ headSha: change.headSha, baseSha: change.baseSha });

const request = { tags: ['commits'], params: CommitParams, querystring: CommitQuery };
const errors = { ...badRequest, ...notFound };

const addSummaries = (app: ApiApp, deps: HttpDeps): void => {
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
    async (asked) => (await find(deps, asked)).summary,
  );
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
      const { change, summary } = await find(deps, asked);
      reply.header('content-type', 'text/markdown; charset=utf-8');
      const kept = asked.query.job === undefined ? change.markdown : null;
      return kept ?? renderMarkdown(summary, { pageUrl: null });
    },
  );
};

export const addCommitRoutes = (app: ApiApp, deps: HttpDeps): void => {
  addSummaries(app, deps);
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
    async (asked) => {
      const { summary } = await find(deps, asked);
      const jobs = summary.jobs.map(({ job, packageChanges }) => ({ job, packageChanges }));
      return { ...shasOf(summary), jobs };
    },
  );
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
    async (asked) => {
      const { summary } = await find(deps, asked);
      const jobs = summary.jobs.map(({ job, rebuildImpact }) => ({ job, rebuildImpact }));
      return { ...shasOf(summary), jobs };
    },
  );
};
