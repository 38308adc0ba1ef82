// Repositories that are served: how they are seen, and what was judged of them. Never how they are reached.
import { z } from 'zod';
import { Change } from './change.ts';
import { nextCursor, PageQuery } from './page.ts';

const count = z.int().nonnegative();

export const Repository = z
  .object({
    /** The kind of the forge: `git` is a plain git host, whose branches are polled. */
    forge: z.string(),
    /** `owner/repo`, as it is configured. */
    name: z.string(),
    /** The branch that changes want to join. */
    baseBranch: z.string(),
    /** What the forge can do beside having branches. */
    capabilities: z.object({
      /** It shows the change summary. */
      comments: z.boolean(),
      /** It shows gates on commits. */
      statuses: z.boolean(),
    }),
    /** Its commits are on their way; until then nothing of it is judged. */
    fetching: z.boolean(),
    /** Milliseconds since 1970; null before its branches were seen for the first time. */
    lastSeenAtMs: z.number().nullable(),
    /** Looks in a row that failed. */
    failures: count,
    /** Why the last look failed, `CODE: what to do`; null while all is well. */
    fault: z.string().nullable(),
    /** What is left out and why, a sentence each. */
    warnings: z.array(z.string()),
  })
  .meta({ id: 'Repository' });
export type Repository = z.infer<typeof Repository>;

export const RepositoryPage = z
  .object({
    total: count,
    repositories: z.array(Repository),
    /** What could be served and is not, a sentence each. */
    leftOut: z.array(z.string()),
    nextCursor,
  })
  .meta({ id: 'RepositoryPage' });
export type RepositoryPage = z.infer<typeof RepositoryPage>;

export const RepositoryParams = z.object({
  forge: z.string().min(1).max(100),
  owner: z.string().min(1).max(300),
  repo: z.string().min(1).max(300),
});

export const RepositoryCommitsQuery = PageQuery.extend({
  /** Only heads of this branch. */
  branch: z.string().min(1).max(500).optional(),
});

/** Heads of branches and tips of base branches, newest first, replaced ones too; one that came back is there twice. */
export const RepositoryCommits = z
  .object({ commits: z.array(Change), nextCursor })
  .meta({ id: 'RepositoryCommits' });
export type RepositoryCommits = z.infer<typeof RepositoryCommits>;
