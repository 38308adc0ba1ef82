// What GitHub knows of a change: which are open, one of them, and which files it touches.
import type { CommitSha } from '@eka-ci/core/ids';
import { z } from 'zod';
import type { OfferedChange } from '../forge-event.ts';
import { apiPath, withQuery } from './api-path.ts';
import type { GithubClient } from './github-client.ts';
import { orNull } from './github-error.ts';
import { PullRequest, Sha } from './github-schema.ts';
import { type PagedList, perPage, readPages } from './pages.ts';

/** More open changes than any repository has, and still an end. */
const mostChangePages = 500;

/**
 * Those that are open, oldest first, so that new ones come in where they are still seen. One that is closed while the
 * pages are read moves those behind it up: one of them can be left out. What is not listed is not closed for that.
 */
export const listOpenChanges = async (
  client: GithubClient,
  repository: string,
  signal?: AbortSignal,
): Promise<PagedList<OfferedChange>> =>
  await readPages(
    client,
    {
      operation: 'changes.list',
      method: 'GET',
      path: withQuery(apiPath('repos', repository, 'pulls'), {
        state: 'open',
        sort: 'created',
        direction: 'asc',
        per_page: perPage,
      }),
      schema: z.array(PullRequest),
    },
    { mostPages: mostChangePages, signal },
  );

export interface ChangeFacts {
  readonly change: OfferedChange;
  /** The commit that it was merged as; null where it is not merged. */
  readonly mergedAs: CommitSha | null;
  readonly isMerged: boolean;
  readonly changedFiles: number;
}

const Details = z
  .object({ merged: z.boolean(), merge_commit_sha: Sha.nullish(), changed_files: z.int().nonnegative() })
  .transform((from) => ({
    isMerged: from.merged,
    // Of an open one it is a trial merge that GitHub made.
    mergedAs: from.merged ? (from.merge_commit_sha ?? null) : null,
    changedFiles: from.changed_files,
  }));

const Facts = z.intersection(
  PullRequest.transform((change) => ({ change })),
  Details,
);

/** `number` is that of the change in its repository. */
export interface ChangeName {
  readonly repository: string;
  readonly number: number;
}

/** Null where there is no such change. */
export const findChange = async (
  client: GithubClient,
  { repository, number }: ChangeName,
  signal?: AbortSignal,
): Promise<ChangeFacts | null> =>
  await orNull(
    client.call(
      {
        operation: 'changes.find',
        method: 'GET',
        path: apiPath('repos', repository, 'pulls', number),
        schema: Facts,
      },
      signal,
    ),
  );

export interface ChangedFiles {
  /** Sorted, none twice; of a renamed file its old path, too. */
  readonly paths: readonly string[];
  /** False where GitHub does not tell all of them: then nothing may be concluded from one that is not there. */
  readonly isComplete: boolean;
}

const File = z.object({ filename: z.string().min(1), previous_filename: z.string().min(1).optional() });
type File = z.output<typeof File>;

const pathsOf = (files: readonly File[]): string[] =>
  [
    ...new Set(
      files.flatMap(({ filename, previous_filename: old }) =>
        old === undefined ? [filename] : [filename, old],
      ),
    ),
  ].toSorted();

/** GitHub lists at most 3,000 of a pull request. */
const mostFilePages = 40;

/** @returns null where there is no such change */
export const listChangedFiles = async (
  client: GithubClient,
  name: ChangeName,
  signal?: AbortSignal,
): Promise<(ChangedFiles & { readonly headSha: CommitSha }) | null> => {
  const facts = await findChange(client, name, signal);
  if (facts === null) return null;
  const { items, isComplete } = await readPages(
    client,
    {
      operation: 'changes.files',
      method: 'GET',
      path: withQuery(apiPath('repos', name.repository, 'pulls', name.number, 'files'), {
        per_page: perPage,
      }),
      schema: z.array(File),
    },
    { mostPages: mostFilePages, signal },
  );
  const { headSha } = facts.change;
  // A push in between gives files of another head, and perhaps as many of them.
  const after = await findChange(client, name, signal);
  const isSame = after?.change.headSha === headSha && items.length === facts.changedFiles;
  return { paths: pathsOf(items), isComplete: isComplete && isSame, headSha };
};

/** As many as GitHub lists of a comparison, whatever there are. */
const mostComparedFiles = 300;

/** What `head` has that its merge base with `base` has not; null where GitHub has not both. */
export const compareFiles = async (
  client: GithubClient,
  {
    repository,
    base,
    head,
  }: { readonly repository: string; readonly base: CommitSha; readonly head: CommitSha },
  signal?: AbortSignal,
): Promise<(ChangedFiles & { readonly mergeBase: CommitSha }) | null> => {
  const compared = await orNull(
    client.call(
      {
        operation: 'changes.compare',
        method: 'GET',
        path: withQuery(apiPath('repos', repository, 'compare', `${base}...${head}`), { per_page: 1 }),
        schema: z.object({ files: z.array(File).default([]), merge_base_commit: z.object({ sha: Sha }) }),
      },
      signal,
    ),
  );
  if (compared === null) return null;
  const { files, merge_base_commit: mergeBase } = compared;
  return { paths: pathsOf(files), isComplete: files.length < mostComparedFiles, mergeBase: mergeBase.sha };
};
