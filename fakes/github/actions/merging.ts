// Merging a pull request at once, in the way that was asked for.
import { diffCommits, listCommits, mergeBase } from '../git/commits.ts';
import { type MergeOrder, mergeCommits, rebaseCommits, squashCommits } from '../git/merge.ts';
import { moveRef } from '../git/repository-folder.ts';
import { emailOf } from '../render/commit.ts';
import type { Account, MergeMethod, Pull } from '../state/entities.ts';
import { ownerOf, protectionOf } from '../state/lookup.ts';
import { Refusal } from '../state/refusal.ts';
import { mustGet, type World } from '../state/world.ts';
import { findProtectionGap } from './mergeability.ts';
import { markMerged } from './pulls.ts';
import { noticeBranches } from './push.ts';

export interface MergeRequest {
  readonly by: Account;
  readonly method: MergeMethod;
  readonly sha: string | null;
  readonly title: string | null;
  readonly message: string | null;
  readonly mayChangeWorkflows: boolean;
}

const refusedMethods: Readonly<Record<MergeMethod, string>> = {
  merge: 'Merge commits are not allowed on this repository.',
  squash: 'Squash merges are not allowed on this repository.',
  rebase: 'Rebase merges are not allowed on this repository.',
};

/** @throws Refusal in the order in which GitHub looks */
const checkMerge = (world: World, pull: Pull, request: MergeRequest): void => {
  const repository = mustGet(world.repositories, pull.repositoryId);
  if (pull.merged !== null || pull.state === 'closed')
    throw new Refusal(405, 'Pull Request is not mergeable');
  if (pull.draft) throw new Refusal(405, 'Pull Request is still a draft');
  if (request.sha !== null && request.sha !== pull.headSha)
    throw new Refusal(409, 'Head branch was modified. Review and try the merge again.');
  if (pull.unknownReads > 0 || pull.testMerge.kind === 'conflict')
    throw new Refusal(405, 'Pull Request is not mergeable');
  if (!repository.mergeMethods.includes(request.method))
    throw new Refusal(405, refusedMethods[request.method]);
  if (protectionOf(repository, pull.baseRef)?.mergeQueue === true)
    throw new Refusal(
      405,
      'Repository rule violations found\n\nChanges must be made through the merge queue',
    );
  const gap = findProtectionGap(world, pull);
  if (gap !== null) throw new Refusal(405, gap);
};

const findWorkflow = async (world: World, pull: Pull): Promise<string | null> => {
  const { folder } = mustGet(world.repositories, pull.repositoryId);
  const from = (await mergeBase(world.git, folder, pull.baseSha, pull.headSha)) ?? pull.baseSha;
  const changes = await diffCommits(world.git, folder, from, pull.headSha);
  return changes.find(({ path }) => path.startsWith('.github/workflows/'))?.path ?? null;
};

const describeMerge = async (world: World, pull: Pull, request: MergeRequest): Promise<string> => {
  const { folder } = mustGet(world.repositories, pull.repositoryId);
  const head = pull.headRepositoryId === null ? undefined : world.repositories.get(pull.headRepositoryId);
  const owner = head === undefined ? 'unknown' : ownerOf(world, head).login;
  const commits = await listCommits(world.git, folder, [`${pull.baseSha}..${pull.headSha}`]);
  const merges = request.method === 'merge';
  const title = merges
    ? `Merge pull request #${pull.number} from ${owner}/${pull.headRef}`
    : `${commits.length === 1 ? (commits[0]?.message.split('\n')[0] ?? pull.title) : pull.title} (#${pull.number})`;
  const body = merges ? pull.title : commits.map(({ message }) => `* ${message}`).join('\n\n');
  return `${request.title ?? title}\n\n${request.message ?? body}\n`;
};

const merges: Readonly<Record<MergeMethod, typeof mergeCommits>> = {
  merge: mergeCommits,
  squash: squashCommits,
  rebase: rebaseCommits,
};

/** The new tip of `base` with the head in it, or null on a conflict. */
export const combine = async (
  world: World,
  pull: Pull,
  given: { readonly base: string; readonly request: MergeRequest },
): Promise<string | null> => {
  const repository = mustGet(world.repositories, pull.repositoryId);
  const { by, method } = given.request;
  const author = method === 'squash' ? mustGet(world.accounts, pull.authorId) : by;
  const order: MergeOrder = {
    base: given.base,
    head: pull.headSha,
    message: await describeMerge(world, pull, given.request),
    atMs: world.clock.now(),
    author: { name: author.name ?? author.login, email: emailOf(author) },
  };
  return merges[method](world.git, repository.folder, order);
};

/** Merges and tells. @returns the commit that the base branch is at now */
export const mergePull = async (world: World, pull: Pull, request: MergeRequest): Promise<string> => {
  checkMerge(world, pull, request);
  const workflow = request.mayChangeWorkflows ? null : await findWorkflow(world, pull);
  if (workflow !== null)
    throw new Refusal(
      403,
      `refusing to allow a GitHub App to create or update workflow \`${workflow}\` without \`workflows\` permission`,
    );
  const repository = mustGet(world.repositories, pull.repositoryId);
  const base = mustGet(repository.branches, pull.baseRef);
  const sha = await combine(world, pull, { base, request });
  if (sha === null) throw new Refusal(405, 'This branch can\u2019t be rebased');
  await moveRef(world.git, repository.folder, `refs/heads/${pull.baseRef}`, sha);
  await markMerged(world, pull, { sha, by: request.by });
  await noticeBranches(world, repository, request.by);
  return sha;
};
