// What GitHub knows of a repository: its names, branches and commits, and who may do what in it.
import type { MergeMethod } from '@eka-ci/core/comment-command';
import type { CommitSha } from '@eka-ci/core/ids';
import { z } from 'zod';
import type { BranchTip } from '../forge.ts';
import type { EventRepository, ForgeUser } from '../forge-event.ts';
import type { ForgeRight } from '../hosted-talk.ts';
import { apiPath, withQuery } from './api-path.ts';
import type { GithubClient } from './github-client.ts';
import { isGithubError, orNull } from './github-error.ts';
import { BranchName, Id, Moment, Repository, Sha } from './github-schema.ts';
import { type PagedList, perPage, readPages } from './pages.ts';

export interface RepositoryFacts extends EventRepository {
  /** Nothing can be written to it. */
  readonly isArchived: boolean;
  /** By its settings; null where GitHub does not tell the app. */
  readonly mergeMethods: readonly MergeMethod[] | null;
}

const Settings = z.object({
  archived: z.boolean().optional(),
  allow_merge_commit: z.boolean().optional(),
  allow_squash_merge: z.boolean().optional(),
  allow_rebase_merge: z.boolean().optional(),
});

const methodsOf = (settings: z.output<typeof Settings>): MergeMethod[] | null => {
  const allowed: Readonly<Record<MergeMethod, boolean | undefined>> = {
    merge: settings.allow_merge_commit,
    squash: settings.allow_squash_merge,
    rebase: settings.allow_rebase_merge,
  };
  if (Object.values(allowed).every((one) => one === undefined)) return null;
  return (['merge', 'squash', 'rebase'] as const).filter((method) => allowed[method] === true);
};

const Facts = z.intersection(
  Repository,
  Settings.transform((settings) => ({
    isArchived: settings.archived ?? false,
    mergeMethods: methodsOf(settings),
  })),
);

/**
 * By its number, which it keeps when it is renamed, or by its name; null where there is none, or the app may not see it.
 */
export const findRepository = async (
  client: GithubClient,
  repository: number | string,
  signal?: AbortSignal,
): Promise<RepositoryFacts | null> => {
  const path =
    typeof repository === 'number' ? apiPath('repositories', repository) : apiPath('repos', repository);
  return await orNull(
    client.call({ operation: 'repositories.find', method: 'GET', path, schema: Facts }, signal),
  );
};

/** All that an installation may see. */
export const listRepositories = async (
  client: GithubClient,
  signal?: AbortSignal,
): Promise<PagedList<EventRepository>> =>
  await readPages(
    client,
    {
      operation: 'repositories.list',
      method: 'GET',
      path: withQuery(apiPath('installation', 'repositories'), { per_page: perPage }),
      schema: z.object({ repositories: z.array(Repository) }).transform(({ repositories }) => repositories),
    },
    { mostPages: 100, signal },
  );

const Branch = z.object({ name: BranchName, commit: z.object({ sha: Sha }) });

/** All branches, each with the commit that it is at. */
export const listBranchTips = async (
  client: GithubClient,
  repository: string,
  signal?: AbortSignal,
): Promise<PagedList<BranchTip>> =>
  await readPages(
    client,
    {
      operation: 'branches.list',
      method: 'GET',
      path: withQuery(apiPath('repos', repository, 'branches'), { per_page: perPage }),
      schema: z.array(Branch.transform(({ name, commit }): BranchTip => ({ name, sha: commit.sha }))),
    },
    { mostPages: 200, signal },
  );

/** Null where there is no such branch. */
export const findBranchTip = async (
  client: GithubClient,
  { repository, branch }: { readonly repository: string; readonly branch: string },
  signal?: AbortSignal,
): Promise<CommitSha | null> => {
  const found = await orNull(
    client.call(
      {
        operation: 'branches.find',
        method: 'GET',
        path: apiPath('repos', repository, 'git', 'ref', 'heads', branch),
        schema: z.object({ object: z.object({ sha: Sha }) }),
      },
      signal,
    ),
  );
  return found?.object.sha ?? null;
};

const ListedCommit = z.object({
  sha: Sha,
  commit: z.object({ committer: z.object({ date: Moment }).nullish() }),
});

/** Of a commit that it does not have GitHub says that it does not understand the question, too. */
const orUnknown = async <T>(call: Promise<T>): Promise<T | null> => {
  try {
    return await call;
  } catch (error) {
    const isUnknown = isGithubError(error, 'GITHUB_REFUSED') && /no commit found/i.test(error.message);
    if (isUnknown || isGithubError(error, 'GITHUB_NOT_FOUND')) return null;
    throw error;
  }
};

/** When it was committed, as the commit itself says; null where GitHub does not tell. */
export const findCommitterDate = async (
  client: GithubClient,
  { repository, sha }: { readonly repository: string; readonly sha: CommitSha },
  signal?: AbortSignal,
): Promise<number | null> => {
  const found = await orUnknown(
    client.call(
      {
        operation: 'commits.find',
        method: 'GET',
        // A list of one: the commit alone comes with the diff of each of its files.
        path: withQuery(apiPath('repos', repository, 'commits'), { sha, per_page: 1 }),
        schema: z.array(ListedCommit),
      },
      signal,
    ),
  );
  return found?.find((one) => one.sha === sha)?.commit.committer?.date ?? null;
};

const Permission = z.object({
  permission: z.string(),
  user: z.object({ id: Id }).nullish(),
});

const rights = ['read', 'write', 'admin'] as const;

/** None where GitHub does not know them, or knows somebody else by that login now. */
export const findRight = async (
  client: GithubClient,
  { repository, user }: { readonly repository: string; readonly user: Pick<ForgeUser, 'id' | 'login'> },
  signal?: AbortSignal,
): Promise<ForgeRight> => {
  const found = await orNull(
    client.call(
      {
        operation: 'rights.find',
        method: 'GET',
        path: apiPath('repos', repository, 'collaborators', user.login, 'permission'),
        schema: Permission,
      },
      signal,
    ),
  );
  if (found?.user?.id !== user.id) return 'none';
  return rights.find((right) => right === found.permission) ?? 'none';
};
