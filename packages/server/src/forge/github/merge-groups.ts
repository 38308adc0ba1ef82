// What GitHub's merge queues have made: branches by their names, and whose changes a group holds.
import type { CommitSha } from '@eka-ci/core/ids';
import { z } from 'zod';
import type { ForgeUser } from '../forge-event.ts';
import type { QueuedGroup } from '../hosted-merging.ts';
import type { GithubClient } from './github-client.ts';
import { isGithubError } from './github-error.ts';
import { Sha } from './github-schema.ts';
import { askGraphql } from './graphql.ts';

/**
 * `gh-readonly-queue/BRANCH/pr-NUMBER-SHA`; nobody else may push there:
 * https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/configuring-pull-request-merges/managing-a-merge-queue
 */
const groupName = /^gh-readonly-queue\/(.+)\/pr-\d{1,15}-[0-9a-f]{40,64}$/;

export const isGroupBranch = (branch: string): boolean => groupName.test(branch);

/** Of a group, the branch that it is to be merged into; null for any other branch. */
const baseBranchOf = (branch: string): string | null => groupName.exec(branch)?.[1] ?? null;

// At most a hundred are tested at once, and those come first.
const entriesQuery = `query ($owner: String!, $repo: String!, $branch: String!) {
  repository(owner: $owner, name: $repo) {
    mergeQueue(branch: $branch) {
      entries(first: 100) {
        nodes {
          baseCommit { oid }
          headCommit { oid }
          pullRequest {
            number
            headRefOid
            author { __typename login ... on User { databaseId } ... on Bot { databaseId } }
          }
        }
      }
    }
  }
}`;

const Commit = z
  .object({ oid: Sha })
  .nullish()
  .transform((commit) => commit?.oid ?? null);

/** Null where GitHub does not say by which number to know them. */
const Author = z
  .object({ __typename: z.string(), login: z.string(), databaseId: z.int().nonnegative().nullish() })
  .nullish()
  .transform((author): ForgeUser | null => {
    if (author === null || author === undefined) return null;
    const { __typename: type, login, databaseId: id = null } = author;
    if (id === null) return null;
    // Elsewhere GitHub calls a bot so; here it leaves the ending out.
    return { id, login: type === 'Bot' ? `${login}[bot]` : login, isPerson: type === 'User' };
  });

const Entry = z.object({
  baseCommit: Commit,
  headCommit: Commit,
  pullRequest: z.object({ number: z.int().nonnegative(), headRefOid: Sha, author: Author }).nullish(),
});
type Entry = z.output<typeof Entry>;

const Queue = z.object({
  repository: z
    .object({ mergeQueue: z.object({ entries: z.object({ nodes: z.array(Entry.nullable()) }) }).nullable() })
    .nullable(),
});

/** The group's entry, and those that it stands on: each stands on the head of the one before. Null: not in the queue. */
const chainOf = (entries: readonly Entry[], headSha: CommitSha): readonly Entry[] | null => {
  const byHead = new Map(
    entries.flatMap((entry) => (entry.headCommit === null ? [] : [[entry.headCommit, entry]])),
  );
  const chain: Entry[] = [];
  for (let entry = byHead.get(headSha); entry !== undefined; ) {
    chain.push(entry);
    // Each is there once, however they are said to stand on each other.
    byHead.delete(entry.headCommit ?? headSha);
    entry = entry.baseCommit === null ? undefined : byHead.get(entry.baseCommit);
  }
  return chain.length === 0 ? null : chain;
};

const toGroup = (chain: readonly Entry[], headSha: CommitSha, baseBranch: string): QueuedGroup | null => {
  const baseSha = chain[0]?.baseCommit ?? null;
  if (baseSha === null) return null;
  const members = chain.toReversed().flatMap(({ pullRequest }) => {
    if (pullRequest === null || pullRequest === undefined) return [];
    const { number, headRefOid, author } = pullRequest;
    return [{ number, headSha: headRefOid, author }];
  });
  // One that GitHub does not name may be anybody's.
  return members.length === chain.length ? { headSha, baseSha, baseBranch, members } : null;
};

/**
 * REST tells nothing of queues; entries are documented at https://docs.github.com/en/graphql/reference/objects#mergequeueentry
 * @returns null where the queue has no such commit
 */
export const findQueuedGroup = async (
  client: GithubClient,
  group: { readonly repository: string; readonly branch: string; readonly headSha: CommitSha },
  signal?: AbortSignal,
): Promise<QueuedGroup | null> => {
  const baseBranch = baseBranchOf(group.branch);
  if (baseBranch === null) return null;
  const [owner = '', repo = ''] = group.repository.split('/');
  const variables = { owner, repo, branch: baseBranch };
  const asked = { operation: 'queue.entries', query: entriesQuery, variables, schema: Queue };
  const { repository } = await askGraphql(client, asked, signal).catch((error: unknown) => {
    if (isGithubError(error, 'GITHUB_NOT_FOUND')) return { repository: null };
    throw error;
  });
  const nodes = repository?.mergeQueue?.entries.nodes ?? [];
  const chain = chainOf(
    nodes.flatMap((entry) => (entry === null ? [] : [entry])),
    group.headSha,
  );
  return chain === null ? null : toGroup(chain, group.headSha, baseBranch);
};
