// What a tree would become on disk, judged before it is written: a pack says nothing of it, for one file under many
// names, or trees of one tree, are stored but once.
import type { TreeSha } from '@eka-ci/core/ids';
import { GitError, type GitErrorCode } from '../git.ts';
import { type GitContext, streamGitOutput } from './run-git.ts';

/** Of a written tree over the bound on a pack: text is packed to about a quarter, so what was meant for use fits. */
export const mostGrowth = 8;

/** Of a tree to judge: some times what the largest package sets have. What fills the disk more is nobody's package set. */
export const judgedBounds: TreeBounds = {
  maxBytes: 1024 * 1024 * 1024,
  maxEntries: 1_000_000,
  code: 'GIT_TREE_TOO_LARGE',
};

/** Some times what the largest package sets have; every one costs a block of the disk besides its content. */
const usualEntries = 200_000;

const [tab, nul] = [9, 0];

/** A commit of another repository in a tree. */
export interface Gitlink {
  readonly rev: string;
  readonly path: string;
}

interface Entry {
  readonly size: number;
  readonly gitlink: Gitlink | null;
}

/** Reads `<mode> <type> <object> <size>\t<path>\0` in pieces, and keeps of paths none but those of other repositories. */
const createReader = (onEntry: (entry: Entry) => void) => {
  let head = '';
  let path: Buffer[] = [];
  let inPath = false;
  const end = (): void => {
    const rev = /^160000 commit ([0-9a-f]+) /.exec(head)?.[1];
    const gitlink = rev === undefined ? null : { rev, path: Buffer.concat(path).toString('utf8') };
    // What is no file has a dash.
    onEntry({ size: Number(/ (\d+)$/.exec(head)?.[1] ?? 0), gitlink });
    [head, path] = ['', []];
  };
  return (chunk: Buffer): void => {
    for (let at = 0; at < chunk.length; ) {
      const found = chunk.indexOf(inPath ? nul : tab, at);
      const until = found === -1 ? chunk.length : found;
      if (!inPath) head += chunk.toString('latin1', at, until);
      else if (head.startsWith('160000 ')) path.push(chunk.subarray(at, until));
      at = until + 1;
      if (found === -1) continue;
      if (inPath) end();
      inPath = !inPath;
    }
  };
};

export interface TreeBounds {
  readonly maxBytes: number;
  readonly maxEntries?: number;
  /** @default however many there are: nobody wants to know of them */
  readonly maxSubmodules?: number;
  /** Of what is thrown beyond them. @default GIT_FETCH_FAILED */
  readonly code?: GitErrorCode;
}

export interface MeasuredTree {
  readonly entries: number;
  readonly bytes: number;
  /** Empty where nobody wants to know of them. */
  readonly gitlinks: readonly Gitlink[];
}

/** @throws GitError where the tree is too large for a commit of which `maxBytes` may be fetched */
export const measureTree = async (
  context: GitContext,
  { gitDir, tree }: { readonly gitDir: string; readonly tree: TreeSha },
  { maxBytes, maxEntries = usualEntries, maxSubmodules, code = 'GIT_FETCH_FAILED' }: TreeBounds,
): Promise<MeasuredTree> => {
  const most = maxBytes * mostGrowth;
  let bytes = 0;
  let entries = 0;
  const gitlinks: Gitlink[] = [];
  const isCrowded = (): boolean => gitlinks.length > (maxSubmodules ?? 0);
  const read = createReader(({ size, gitlink }) => {
    bytes += size;
    entries += 1;
    if (gitlink !== null && maxSubmodules !== undefined && !isCrowded()) gitlinks.push(gitlink);
  });
  // Trees count (-t): without files in them they would be gone through in silence.
  const args = ['ls-tree', '-r', '-t', '-l', '-z', tree];
  await streamGitOutput(context, { doing: 'measuring the tree of the commit', gitDir, args }, (chunk) => {
    read(chunk);
    // Paths as well: git holds all of them when it writes the tree.
    bytes += chunk.length;
    return bytes <= most && entries <= maxEntries && !isCrowded();
  });
  if (entries > maxEntries)
    throw new GitError(code, `the commit has more than ${maxEntries} files and folders`);
  if (bytes > most) {
    const message = `the commit is larger than ${Math.floor(most / 1024 / 1024)} MiB when it is written`;
    throw new GitError(code, message);
  }
  if (isCrowded()) throw new GitError(code, `it has more than ${maxSubmodules} submodules`);
  return { entries, bytes, gitlinks };
};
