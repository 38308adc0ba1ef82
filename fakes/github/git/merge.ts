// The three ways to bring a head into a base, done by git; none of them moves a ref.
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readCommit } from './commits.ts';
import type { Git, GitExtra } from './git.ts';

export interface MergeOrder {
  readonly base: string;
  readonly head: string;
  readonly message: string;
  readonly atMs: number;
  /** Who is named as the author of a squashed commit and of a merge. */
  readonly author: { readonly name: string; readonly email: string };
}

/** The new tip, or null where the two do not go together. */
export type Merging = Promise<string | null>;

const identity = ({ author, atMs }: Pick<MergeOrder, 'atMs' | 'author'>): GitExtra => {
  const date = `${Math.floor(atMs / 1000)} +0000`;
  return {
    env: {
      GIT_AUTHOR_NAME: author.name,
      GIT_AUTHOR_EMAIL: author.email,
      GIT_AUTHOR_DATE: date,
      GIT_COMMITTER_DATE: date,
    },
  };
};

const mergeTrees = async (git: Git, folder: string, order: MergeOrder): Promise<string | null> => {
  const { code, stdout, stderr } = await git.attempt(folder, [
    'merge-tree',
    '--write-tree',
    order.base,
    order.head,
  ]);
  if (code === 0) return stdout.trim();
  if (code === 1) return null;
  throw new Error(`git merge-tree failed in ${folder}: ${stderr}`);
};

const commitMerge = async (
  git: Git,
  folder: string,
  order: MergeOrder,
  parents: readonly string[],
): Merging => {
  const tree = await mergeTrees(git, folder, order);
  if (tree === null) return null;
  const named = parents.flatMap((parent) => ['-p', parent]);
  return git.run(folder, ['commit-tree', tree, ...named, '-m', order.message], identity(order));
};

export const mergeCommits = (git: Git, folder: string, order: MergeOrder): Merging =>
  commitMerge(git, folder, order, [order.base, order.head]);

export const squashCommits = (git: Git, folder: string, order: MergeOrder): Merging =>
  commitMerge(git, folder, order, [order.base]);

/** Always new commits, even where the head is ahead of the base already: as GitHub does it. */
export const rebaseCommits = async (git: Git, folder: string, order: MergeOrder): Merging => {
  const place = await mkdtemp(join(folder, 'rebase-'));
  try {
    await git.run(folder, ['worktree', 'add', '--quiet', '--detach', '--force', place, order.head]);
    const { env = {} } = identity(order);
    const committer = { GIT_COMMITTER_DATE: env['GIT_COMMITTER_DATE'] ?? '' };
    const { code } = await git.attempt(place, ['rebase', '--quiet', '--force-rebase', order.base], {
      env: committer,
    });
    return code === 0 ? (await readCommit(git, place, 'HEAD')).sha : null;
  } finally {
    await rm(place, { recursive: true, force: true });
    await git.run(folder, ['worktree', 'prune']);
  }
};
