// Folders of ours below one parent, each the whole of something: roots of a jobset, a mirror. Found by name and age,
// and taken away in one step, so that nobody ever meets half of one.
import { lstatSync, renameSync } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCodeOf } from '../../lib/error-code.ts';
import { removeTree } from '../../lib/work-folder.ts';

export interface FoundFolder {
  readonly name: string;
  readonly modifiedMs: number;
}

/** What a sweep that was cut short had taken away, and not yet removed. */
const takenPrefix = '.removed-';

const gone = (error: unknown): null => {
  if (errorCodeOf(error) === 'ENOENT') return null;
  throw error;
};

/**
 * Folders, no links, whose name matches; none where the parent is not there.
 * @param marks files inside that are newer than the folder itself whenever it was used
 */
export const findFolders = async (
  parent: string,
  name: RegExp,
  marks: readonly string[] = [],
): Promise<FoundFolder[]> => {
  const found: FoundFolder[] = [];
  const entries = (await readdir(parent, { withFileTypes: true }).catch(gone)) ?? [];
  for (const entry of entries) {
    if (!entry.isDirectory() || !name.test(entry.name)) continue;
    const paths = ['.', ...marks].map((mark) => join(parent, entry.name, mark));
    const stats = await Promise.all(paths.map((path) => lstat(path).catch(() => null)));
    const times = stats.map((one) => one?.mtimeMs ?? Number.NEGATIVE_INFINITY);
    if (stats[0] !== null) found.push({ name: entry.name, modifiedMs: Math.max(...times) });
  }
  return found;
};

/** Removes what an earlier sweep had taken away when it was cut short. */
const removeTaken = async (parent: string): Promise<void> => {
  for (const name of (await readdir(parent).catch(gone)) ?? []) {
    if (name.startsWith(takenPrefix)) await removeTree(join(parent, name));
  }
};

const isFolder = (path: string): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/**
 * Removes those that may go, and what is left of earlier ones.
 * @param mayGo between its answer and the disappearance of the folder nothing else of this process runs
 * @returns how many
 */
export const removeFolders = async (
  parent: string,
  folders: readonly FoundFolder[],
  mayGo: (folder: FoundFolder) => boolean,
): Promise<number> => {
  await removeTaken(parent);
  let removed = 0;
  for (const folder of folders) {
    const path = join(parent, folder.name);
    if (!mayGo(folder) || !isFolder(path)) continue;
    const taken = join(parent, `${takenPrefix}${folder.name}`);
    renameSync(path, taken);
    removed += 1;
    await removeTree(taken);
  }
  return removed;
};
