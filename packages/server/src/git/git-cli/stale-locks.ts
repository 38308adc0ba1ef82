// Lock files that a killed git leaves behind. Git itself never removes them: each would end every later fetch.
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Where git locks something of a bare repository; below `refs` in any depth. */
const lockedFolders = ['', 'info', 'objects/info', 'refs'] as const;

/** No branch is called so: git refuses names that end in it. */
const isLock = (name: string): boolean => name.endsWith('.lock');

const locksIn = async (folder: string, recursive: boolean): Promise<string[]> => {
  // A folder that is no repository, or half of one, has none.
  const entries = await readdir(folder, { withFileTypes: true, recursive }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile() && isLock(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
};

/**
 * Removes them from every mirror in a folder. Only while no git can be at work there.
 * @returns the files
 */
export const removeStaleLocks = async (mirrorsDir: string): Promise<readonly string[]> => {
  const removed: string[] = [];
  for (const mirror of await readdir(mirrorsDir)) {
    for (const folder of lockedFolders)
      removed.push(...(await locksIn(join(mirrorsDir, mirror, folder), folder === 'refs')));
  }
  for (const file of removed) await rm(file, { force: true });
  return removed;
};
