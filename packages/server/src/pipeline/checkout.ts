// Stage: two revisions of a repository → the commits, and the tree to judge.
import { join } from 'node:path';
import type { TreeSha } from '@eka-ci/core/ids';
import type { Git, GitSource, MergeConflict, Mirror, ResolvedCommit } from '../git/git.ts';

export interface CheckoutRequest {
  readonly source: GitSource;
  /** Null: the judged tree is compared with nothing, and everything in it is new. */
  readonly base: string | null;
  readonly head: string;
  /** What people call the two. @default as they are given */
  readonly names?: { readonly base: string | null; readonly head: string };
  /** False: the judged tree is the head's own, not its merge into the base. There is no merge into nothing. */
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
  /** Null: nothing. */
  readonly base: NamedCommit | null;
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

/** The tree without any file, as git hashes it: every repository has it. */
const emptyTrees = {
  sha1: '4b825dc642cb6eb9a060e54bf8d69288fbee4904' as TreeSha,
  sha256: '6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321' as TreeSha,
} as const;

/** What the judged tree is compared with; of nothing it is the tree without files. */
export const baseTreeOf = ({ base, judgedTree }: Pick<CheckedOut, 'base' | 'judgedTree'>): TreeSha =>
  base?.tree ?? emptyTrees[judgedTree.length === 64 ? 'sha256' : 'sha1'];

/**
 * @param folder empty; gets the mirror where the request names no other place, and nothing else is written
 * @throws GitError
 */
export const checkOut = async (
  git: Git,
  request: CheckoutRequest,
  { folder, signal }: { folder: string; signal: AbortSignal },
): Promise<Checkout> => {
  const { names } = request;
  const mirror = await git.openMirror(
    request.source,
    request.mirrorFolder ?? join(folder, 'mirror.git'),
    signal,
  );
  const find = async (revision: string, name: string | null | undefined): Promise<NamedCommit> => ({
    revision: name ?? revision,
    ...(await mirror.resolve(revision)),
  });
  const base = request.base === null ? null : await find(request.base, names?.base);
  const head = await find(request.head, names?.head);
  if (!request.merge || base === null) {
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
