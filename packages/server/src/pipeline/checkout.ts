// Stage: two revisions of a repository → the commits, and the tree to judge.
import { join } from 'node:path';
import type { TreeSha } from '@eka-ci/core/ids';
import {
  type Git,
  GitError,
  type GitSource,
  type MergeConflict,
  type Mirror,
  type ResolvedCommit,
} from '../git/git.ts';

export interface CheckoutRequest {
  readonly source: GitSource;
  /** Null: the repository's default branch. */
  readonly base: string | null;
  readonly head: string;
  /** False: the judged tree is the head's own, not its merge into the base. */
  readonly merge: boolean;
  /** The repository's mirror, kept from change to change. @default one in the change's own folder */
  readonly mirrorFolder?: string;
}

export interface NamedCommit extends ResolvedCommit {
  /** As it was asked for. */
  readonly revision: string;
}

export interface CheckedOut {
  readonly kind: 'checked-out';
  readonly mirror: Mirror;
  readonly base: NamedCommit;
  readonly head: NamedCommit;
  readonly judgedTree: TreeSha;
  readonly merged: boolean;
}

export type Checkout =
  | CheckedOut
  | {
      readonly kind: 'conflict';
      readonly base: NamedCommit;
      readonly head: NamedCommit;
      readonly files: readonly MergeConflict[];
    }
  | { readonly kind: 'unrelated'; readonly base: NamedCommit; readonly head: NamedCommit };

const resolveBase = async (mirror: Mirror, asked: string | null): Promise<NamedCommit> => {
  const revision = asked ?? (await mirror.defaultBranch());
  if (revision === null) {
    throw new GitError(
      'GIT_REVISION_NOT_FOUND',
      'the repository has no origin/HEAD, main or master to compare with: name the base with --base',
    );
  }
  return { revision, ...(await mirror.resolve(revision)) };
};

/**
 * @param folder empty; gets the mirror where the request names no other place, and nothing else is written
 * @throws GitError
 */
export const checkOut = async (
  git: Git,
  request: CheckoutRequest,
  { folder, signal }: { folder: string; signal: AbortSignal },
): Promise<Checkout> => {
  const mirrorFolder = request.mirrorFolder ?? join(folder, 'mirror.git');
  const mirror = await git.openMirror(request.source, mirrorFolder, signal);
  const base = await resolveBase(mirror, request.base);
  const head = { revision: request.head, ...(await mirror.resolve(request.head)) };
  if (!request.merge) {
    return { kind: 'checked-out', mirror, base, head, judgedTree: head.tree, merged: false };
  }
  const merge = await mirror.trialMerge(base.sha, head.sha);
  switch (merge.kind) {
    case 'merged':
      return { kind: 'checked-out', mirror, base, head, judgedTree: merge.tree, merged: true };
    case 'conflict':
      return { kind: 'conflict', base, head, files: merge.files };
    case 'unrelated':
      return { kind: 'unrelated', base, head };
  }
};
