// Merges two commits without a working tree, in our own repository, and reads what git says of it.
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import { GitError, type MergeConflict, type TrialMerge } from '../git.ts';
import type { Repository } from './repository.ts';

const shallow = (base: CommitSha, head: CommitSha): GitError =>
  new GitError(
    'GIT_SHALLOW',
    `the common ancestor of ${base.slice(0, 12)} and ${head.slice(0, 12)} is cut off in this shallow clone: ` +
      'run "git fetch --unshallow" in it (in a CI job: check out with full history)',
  );

/** See `Mirror.mergeBase`. */
export const findMergeBase = async (
  repository: Repository,
  a: CommitSha,
  b: CommitSha,
): Promise<CommitSha | null> => {
  const isShallow = await repository.isShallow();
  const { code, stdout } = await repository.run({
    doing: 'looking for the common ancestor',
    args: ['merge-base', a, b],
    accept: [0, 1],
  });
  if (code === 0) return stdout.trim() as CommitSha;
  if (isShallow) throw shallow(a, b);
  return null;
};

interface Message {
  readonly paths: readonly string[];
  /** For example `CONFLICT (contents)` or `Auto-merging`. */
  readonly type: string;
  readonly text: string;
}

interface Conflicts {
  /** Paths that the index would keep more than one version of. */
  readonly paths: readonly string[];
  readonly messages: readonly Message[];
}

/**
 * Reads `git merge-tree --write-tree -z` of a merge with conflicts: the tree, then `<mode> <sha> <stage>\t<path>` a
 * field, an empty field, then messages of `<n>`, n paths, type and text (git-merge-tree(1), "OUTPUT").
 */
const parseConflicts = (output: string): Conflicts => {
  const fields = output.split('\0');
  let at = 1;
  const paths: string[] = [];
  for (; at < fields.length && fields[at] !== ''; at++) {
    const path = /^\d+ [0-9a-f]+ \d\t(.*)$/s.exec(fields[at] ?? '')?.[1];
    if (path !== undefined) paths.push(path);
  }
  at += 1;
  const messages: Message[] = [];
  while (at < fields.length) {
    const count = Number(fields[at]);
    const [type, text] = fields.slice(at + 1 + count, at + 3 + count);
    if (fields[at] === '' || !Number.isInteger(count) || type === undefined || text === undefined) break;
    messages.push({ paths: fields.slice(at + 1, at + 1 + count), type, text: text.trim() });
    at += 3 + count;
  }
  return { paths, messages };
};

const describeConflicts = ({ paths, messages }: Conflicts): TrialMerge => {
  const kinds = new Map<string, string>();
  const lines: string[] = [];
  for (const { type, text, paths: about } of messages) {
    const kind = /^CONFLICT \((.*)\)$/.exec(type)?.[1];
    if (kind === undefined) continue;
    lines.push(text);
    for (const path of about) if (!kinds.has(path)) kinds.set(path, kind);
  }
  // Paths that a conflict mentions need not be in conflict themselves, unless the index has none to show.
  const conflicting = new Set(paths.length > 0 ? paths : kinds.keys());
  const files: MergeConflict[] = [...conflicting]
    .sort()
    .map((path) => ({ path, kind: kinds.get(path) ?? 'contents' }));
  return { kind: 'conflict', files, message: lines.join('\n') };
};

/** See `Mirror.trialMerge`. */
export const mergeOnTrial = async (
  repository: Repository,
  base: CommitSha,
  head: CommitSha,
): Promise<TrialMerge> => {
  // Asked first: merge-tree says of cut-off history that the two are unrelated.
  if ((await findMergeBase(repository, base, head)) === null) return { kind: 'unrelated' };
  const { code, stdout } = await repository.run({
    doing: 'merging on trial',
    args: ['merge-tree', '--write-tree', '-z', '--messages', base, head],
    accept: [0, 1],
  });
  if (code === 1) return describeConflicts(parseConflicts(stdout));
  const tree = /^[0-9a-f]{40,64}/.exec(stdout)?.[0];
  if (tree === undefined)
    throw new GitError('GIT_FAILED', `git merge-tree printed no tree: ${stdout.slice(0, 200)}`);
  return { kind: 'merged', tree: tree as TreeSha };
};
