// Writes a tree's files to disk through an index of its own. `git archive` would not do: export-ignore and
// export-subst change what it writes.
import { chmod, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TreeSha } from '@eka-ci/core/ids';
import { errorCodeOf } from '../../lib/error-code.ts';
import { GitError } from '../git.ts';
import { blameFullDisk, readFileFailure } from './git-failure.ts';
import { makeFolders, type Repository } from './repository.ts';
import { listPaths } from './tree-contents.ts';

interface Draft {
  readonly tree: TreeSha;
  /** Empty at first; becomes `<parent>/source`. */
  readonly folder: string;
  /** Holds the index, which is needed no longer than the export. */
  readonly scratch: string;
}

const writeFiles = async (repository: Repository, { tree, folder, scratch }: Draft): Promise<void> => {
  const env = { GIT_INDEX_FILE: join(scratch, 'index'), GIT_WORK_TREE: folder };
  await repository.run({ doing: 'reading the tree', args: ['read-tree', tree], env });
  await repository.run({
    doing: 'writing the files of the tree',
    // The prefix is absolute on purpose: what is too long to be written so would be too long to be removed.
    args: ['checkout-index', '--all', '--quiet', `--prefix=${folder}/`],
    env,
  });
};

/** Linux's bounds, in bytes: a whole path without its closing NUL, and one component. */
const longestPath = 4095;
const longestComponent = 255;

/** Git cuts its messages at 4 KiB, so that the reason is lost just when a path is too long. */
const blameLongPath = async (
  repository: Repository,
  error: unknown,
  { tree, folder }: Draft,
): Promise<unknown> => {
  if (!(error instanceof GitError) || error.code !== 'GIT_FAILED') return error;
  const paths = await listPaths(repository, tree);
  const tooLong = paths.find(
    (path) =>
      Buffer.byteLength(`${folder}/${path}`) > longestPath ||
      path.split('/').some((component) => Buffer.byteLength(component) > longestComponent),
  );
  if (tooLong === undefined) return error;
  return new GitError(
    'GIT_PATH_TOO_LONG',
    `the tree has a path that is too long to be written (${Buffer.byteLength(tooLong)} bytes): ${tooLong.slice(0, 100)}…`,
    error,
  );
};

const moveIntoPlace = async (folder: string, target: string): Promise<void> => {
  // mkdtemp gives a folder that no other user may enter; evaluation runs as another user.
  await chmod(folder, 0o755);
  try {
    await rename(folder, target);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errorCodeOf(error))) throw error;
    throw new GitError('GIT_EXPORT_EXISTS', `${target} exists already: export into another folder`, error);
  }
};

/** See `Mirror.exportTree`. */
export const exportTree = async (repository: Repository, tree: TreeSha, parent: string): Promise<string> => {
  const made: string[] = [];
  const makeFolder = async (prefix: string): Promise<string> => {
    const folder = await mkdtemp(prefix);
    made.push(folder);
    return folder;
  };
  const target = join(parent, 'source');
  try {
    await makeFolders(parent);
    const scratch = await makeFolder(join(repository.folder, 'export-'));
    const folder = await makeFolder(join(parent, '.source-'));
    const draft = { tree, folder, scratch };
    await writeFiles(repository, draft).catch(async (error: unknown) => {
      throw await blameLongPath(repository, error, draft);
    });
    await moveIntoPlace(folder, target);
    return target;
  } catch (error) {
    throw readFileFailure(
      'exporting a tree to',
      target,
      await blameFullDisk(error, [parent, repository.folder]),
    );
  } finally {
    for (const folder of made) await rm(folder, { recursive: true, force: true });
  }
};
