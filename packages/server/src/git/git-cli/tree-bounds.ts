// What a tree would become on disk, judged before it is written: a pack says nothing of it, for one file under many
// names, or trees of one tree, are stored but once.
import type { TreeSha } from '@eka-ci/core/ids';
import { GitError } from '../git.ts';
import { type GitContext, streamGitOutput } from './run-git.ts';

/** Of a written tree over the bound on a pack: text is packed to about a quarter, so what was meant for use fits. */
const mostGrowth = 8;

/** Some times what the largest package sets have; every one costs a block of the disk besides its content. */
const mostEntries = 200_000;

const [tab, nul] = [9, 0];

/** Reads `<mode> <type> <object> <size>\t<path>\0` in pieces, and keeps no more of it than the part before the tab. */
const createReader = (onEntry: (size: number) => void) => {
  let head = '';
  let inPath = false;
  return (chunk: Buffer): void => {
    for (let at = 0; at < chunk.length; ) {
      const found = chunk.indexOf(inPath ? nul : tab, at);
      const end = found === -1 ? chunk.length : found;
      if (!inPath) head += chunk.toString('latin1', at, end);
      at = end + 1;
      if (found === -1) continue;
      // What is no file has a dash.
      if (!inPath) onEntry(Number(/ (\d+)$/.exec(head)?.[1] ?? 0));
      head = '';
      inPath = !inPath;
    }
  };
};

/** @throws GitError where the tree is too large for a commit of which `maxBytes` may be fetched */
export const checkTreeBounds = async (
  context: GitContext,
  { gitDir, tree, maxBytes }: { readonly gitDir: string; readonly tree: TreeSha; readonly maxBytes: number },
): Promise<void> => {
  const most = maxBytes * mostGrowth;
  let bytes = 0;
  let entries = 0;
  const read = createReader((size) => {
    bytes += size;
    entries += 1;
  });
  // Trees count (-t): without files in them they would be gone through in silence.
  const args = ['ls-tree', '-r', '-t', '-l', '-z', tree];
  await streamGitOutput(context, { doing: 'measuring the tree of the commit', gitDir, args }, (chunk) => {
    read(chunk);
    // Paths as well: git holds all of them when it writes the tree.
    bytes += chunk.length;
    return bytes <= most && entries <= mostEntries;
  });
  if (entries > mostEntries)
    throw new GitError('GIT_FETCH_FAILED', `the commit has more than ${mostEntries} files and folders`);
  if (bytes > most) {
    const message = `the commit is larger than ${Math.floor(most / 1024 / 1024)} MiB when it is written`;
    throw new GitError('GIT_FETCH_FAILED', message);
  }
};
