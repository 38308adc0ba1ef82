// Merges a change, or puts it into its branch's merge queue: exactly the head that was judged, or not at all.
import type { MergeMethod } from '@eka-ci/core/comment-command';
import type { CommitSha } from '@eka-ci/core/ids';
import { z } from 'zod';
import type { MergeOutcome, QueueEntry } from '../hosted-merging.ts';
import { apiPath } from './api-path.ts';
import { type ChangeName, findChange } from './changes.ts';
import type { GithubClient } from './github-client.ts';
import { GithubError, isGithubError, orNull } from './github-error.ts';
import { Sha } from './github-schema.ts';
import { askGraphql } from './graphql.ts';

export interface MergeRequest extends ChangeName {
  /** The head that is to be merged. */
  readonly headSha: CommitSha;
  readonly method: MergeMethod;
}

const Merged = z.object({ sha: Sha, merged: z.boolean().optional() });

/** What became of it where the answer does not tell. Null: nothing yet. */
const lookAfter = async (
  client: GithubClient,
  { headSha, ...name }: ChangeName & { readonly headSha: CommitSha },
  signal?: AbortSignal,
): Promise<MergeOutcome | null> => {
  const facts = await findChange(client, name, signal);
  if (facts === null) return { kind: 'gone' };
  if (facts.change.headSha !== headSha) return { kind: 'head-moved' };
  return facts.isMerged ? { kind: 'merged', mergedAs: facts.mergedAs } : null;
};

/** Refusals that are an outcome, not a fault. */
const outcomeCodes = ['GITHUB_REFUSED', 'GITHUB_FORBIDDEN', 'GITHUB_CONFLICT', 'GITHUB_NOT_FOUND'] as const;

const settle = async (
  client: GithubClient,
  { name, error }: { readonly name: ChangeName & { readonly headSha: CommitSha }; readonly error: unknown },
  signal?: AbortSignal,
): Promise<MergeOutcome> => {
  const isLost = error instanceof GithubError && error.isMaybeDone;
  if (!isLost && !isGithubError(error, ...outcomeCodes)) throw error;
  // It may be merged by the request whose answer was lost, or by somebody else: then all is well.
  const found = await lookAfter(client, name, signal);
  if (found !== null) return found;
  if (isLost) throw error;
  return /base branch was modified/i.test(error.message)
    ? { kind: 'base-moved' }
    : { kind: 'refused', says: error.message };
};

/**
 * Idempotent: what is merged already is `merged`.
 * @throws GithubError where nobody can tell what became of it: ask again
 */
export const mergeChange = async (
  client: GithubClient,
  request: MergeRequest,
  signal?: AbortSignal,
): Promise<MergeOutcome> => {
  const { repository, number, headSha, method } = request;
  try {
    const merged = await client.call(
      {
        operation: 'changes.merge',
        method: 'PUT',
        path: apiPath('repos', repository, 'pulls', number, 'merge'),
        body: { sha: headSha, merge_method: method },
        schema: Merged,
        creates: true,
        repeat: 'never',
      },
      signal,
    );
    return { kind: 'merged', mergedAs: merged.sha };
  } catch (error) {
    return await settle(client, { name: { repository, number, headSha }, error }, signal);
  }
};

const splitName = (repository: string): { readonly owner: string; readonly repo: string } => {
  const [owner = '', repo = ''] = repository.split('/');
  return { owner, repo };
};

const queueQuery = `query ($owner: String!, $repo: String!, $branch: String!) {
  repository(owner: $owner, name: $repo) { mergeQueue(branch: $branch) { id } }
}`;

/** Whether the branch takes changes through a merge queue alone. */
export const hasMergeQueue = async (
  client: GithubClient,
  { repository, branch }: { readonly repository: string; readonly branch: string },
  signal?: AbortSignal,
): Promise<boolean> => {
  const { repository: found } = await askGraphql(
    client,
    {
      operation: 'queue.find',
      query: queueQuery,
      variables: { ...splitName(repository), branch },
      schema: z.object({
        repository: z.object({ mergeQueue: z.object({ id: z.string() }).nullable() }).nullable(),
      }),
    },
    signal,
  );
  return (found?.mergeQueue ?? null) !== null;
};

const entryQuery = `query ($owner: String!, $repo: String!, $number: Int!) {
  repository(owner: $owner, name: $repo) {
    pullRequest(number: $number) { id headRefOid merged isInMergeQueue }
  }
}`;

const Entry = z.object({
  repository: z
    .object({
      pullRequest: z
        .object({
          id: z.string(),
          headRefOid: Sha,
          merged: z.boolean(),
          isInMergeQueue: z.boolean(),
        })
        .nullable(),
    })
    .nullable(),
});

const enqueueMutation = `mutation ($id: ID!, $head: GitObjectID!) {
  enqueuePullRequest(input: { pullRequestId: $id, expectedHeadOid: $head }) { mergeQueueEntry { id } }
}`;

type QueueSight =
  | Exclude<QueueEntry, { kind: 'not-queued' | 'queued' }>
  /** With the ids that mutations go by. */
  | { readonly kind: 'open'; readonly id: string }
  | { readonly kind: 'queued'; readonly id: string };

/** What is true already, or the id to enqueue by. */
const lookBefore = async (
  client: GithubClient,
  { repository, number, headSha }: Omit<MergeRequest, 'method'>,
  signal?: AbortSignal,
): Promise<QueueSight> => {
  const variables = { ...splitName(repository), number };
  const asked = { operation: 'queue.entry', query: entryQuery, variables, schema: Entry };
  const found = await orNull(askGraphql(client, asked, signal));
  const pull = found?.repository?.pullRequest ?? null;
  if (pull === null) return { kind: 'gone' };
  if (pull.headRefOid !== headSha) return { kind: 'head-moved' };
  if (pull.merged) {
    const facts = await findChange(client, { repository, number }, signal);
    return { kind: 'merged', mergedAs: facts?.mergedAs ?? null };
  }
  const { id } = pull;
  return pull.isInMergeQueue ? { kind: 'queued', id } : { kind: 'open', id };
};

/**
 * Idempotent: what is in the queue already is `queued`. The queue's own method counts.
 * @throws GithubError where nobody can tell what became of it: ask again
 */
export const enqueueChange = async (
  client: GithubClient,
  request: Omit<MergeRequest, 'method'>,
  signal?: AbortSignal,
): Promise<MergeOutcome> => {
  const before = await lookBefore(client, request, signal);
  if (before.kind === 'queued') return { kind: 'queued' };
  if (before.kind !== 'open') return before;
  try {
    await askGraphql(
      client,
      {
        operation: 'queue.enqueue',
        query: enqueueMutation,
        variables: { id: before.id, head: request.headSha },
        schema: z.object({ enqueuePullRequest: z.object({}).nullable() }),
        repeat: 'never',
      },
      signal,
    );
    return { kind: 'queued' };
  } catch (error) {
    const isLost = error instanceof GithubError && error.isMaybeDone;
    if (!isLost && !isGithubError(error, ...outcomeCodes)) throw error;
    const after = await lookBefore(client, request, signal);
    if (after.kind === 'queued') return { kind: 'queued' };
    if (after.kind !== 'open') return after;
    if (isLost) throw error;
    return { kind: 'refused', says: error.message };
  }
};

const toEntry = (sight: QueueSight): QueueEntry => {
  if (sight.kind === 'open') return { kind: 'not-queued' };
  return sight.kind === 'queued' ? { kind: 'queued' } : sight;
};

export const findInQueue = async (
  client: GithubClient,
  request: Omit<MergeRequest, 'method'>,
  signal?: AbortSignal,
): Promise<QueueEntry> => toEntry(await lookBefore(client, request, signal));

const dequeueMutation = `mutation ($id: ID!) {
  dequeuePullRequest(input: { id: $id }) { mergeQueueEntry { id } }
}`;

/**
 * Idempotent; `queued`: GitHub does not let it go.
 * @throws GithubError where nobody can tell what became of it: ask again
 */
export const dequeueChange = async (
  client: GithubClient,
  request: Omit<MergeRequest, 'method'>,
  signal?: AbortSignal,
): Promise<QueueEntry> => {
  const before = await lookBefore(client, request, signal);
  if (before.kind !== 'queued') return toEntry(before);
  try {
    await askGraphql(
      client,
      {
        operation: 'queue.dequeue',
        query: dequeueMutation,
        variables: { id: before.id },
        schema: z.object({ dequeuePullRequest: z.object({}).nullable() }),
        repeat: 'never',
      },
      signal,
    );
    return { kind: 'not-queued' };
  } catch (error) {
    const isLost = error instanceof GithubError && error.isMaybeDone;
    if (!isLost && !isGithubError(error, ...outcomeCodes)) throw error;
    const after = toEntry(await lookBefore(client, request, signal));
    if (after.kind === 'queued' && isLost) throw error;
    return after;
  }
};
