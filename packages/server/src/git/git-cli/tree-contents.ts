// Reads what trees contain: differences, submodules, single files.
import type { TreeSha } from '@eka-ci/core/ids';
import { GitError } from '../git.ts';
import type { Repository } from './repository.ts';
import { splitNul } from './run-git.ts';

/** See `Mirror.changedPaths`. */
export const listChangedPaths = async (
  repository: Repository,
  a: TreeSha,
  b: TreeSha,
): Promise<readonly string[]> => {
  const { stdout } = await repository.run({
    doing: 'comparing two trees',
    // The last flag says that nobody's configuration hides a submodule that moved.
    args: ['diff-tree', '-r', '-z', '--name-only', '--no-renames', '--ignore-submodules=none', a, b],
  });
  return splitNul(stdout).sort();
};

interface Entry {
  /** `100644`, `100755`: files; `120000`: symbolic link; `040000`: folder; `160000`: submodule. */
  readonly mode: string;
  readonly sha: string;
  readonly path: string;
}

const parseEntries = (stdout: string): Entry[] =>
  splitNul(stdout).flatMap((field) => {
    const match = /^(\d+) \S+ ([0-9a-f]+)\t(.*)$/s.exec(field);
    return match === null ? [] : [{ mode: match[1] ?? '', sha: match[2] ?? '', path: match[3] ?? '' }];
  });

/** See `Mirror.submodules`. */
export const listSubmodules = async (repository: Repository, tree: TreeSha): Promise<readonly string[]> => {
  const { stdout } = await repository.run({
    doing: 'listing submodules',
    args: ['ls-tree', '-r', '-z', tree],
  });
  return parseEntries(stdout)
    .filter(({ mode }) => mode === '160000')
    .map(({ path }) => path);
};

/** Every path of a tree, those of submodules included. */
export const listPaths = async (repository: Repository, tree: TreeSha): Promise<readonly string[]> => {
  const args = ['ls-tree', '-r', '-z', '--name-only', tree];
  return splitNul((await repository.run({ doing: 'listing the paths of a tree', args })).stdout);
};

const findEntry = async (repository: Repository, tree: TreeSha, path: string): Promise<Entry | undefined> => {
  const { stdout } = await repository.run({
    doing: `looking for ${path}`,
    args: ['ls-tree', '-z', tree, '--', path],
  });
  return parseEntries(stdout).find((entry) => entry.path === path);
};

const notAFile = (path: string, mode: string): GitError => {
  const what = mode === '120000' ? 'a symbolic link' : mode === '160000' ? 'a submodule' : 'a folder';
  return new GitError(
    'GIT_NOT_A_FILE',
    `${path} is ${what}, and a plain file is wanted: links are not followed`,
  );
};

/** A link on the way would make a file seem absent that every checkout shows. */
const refuseLinkOnTheWay = async (repository: Repository, tree: TreeSha, path: string): Promise<void> => {
  for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
    const folder = await findEntry(repository, tree, path.slice(0, slash));
    if (folder?.mode === '120000' || folder?.mode === '160000') throw notAFile(folder.path, folder.mode);
  }
};

/** See `Mirror.readFile`. */
export const readTreeFile = async (
  repository: Repository,
  tree: TreeSha,
  file: { readonly path: string; readonly maxBytes: number },
): Promise<Uint8Array | null> => {
  const { path, maxBytes } = file;
  const plain =
    path.split('/').every((part) => part !== '' && part !== '.' && part !== '..') && !path.includes('\0');
  if (!plain) return null;
  const entry = await findEntry(repository, tree, path);
  if (entry === undefined) {
    await refuseLinkOnTheWay(repository, tree, path);
    return null;
  }
  if (!entry.mode.startsWith('100')) throw notAFile(path, entry.mode);
  return await repository.readOutput(
    { doing: `reading ${path}`, args: ['cat-file', 'blob', entry.sha] },
    maxBytes,
  );
};
