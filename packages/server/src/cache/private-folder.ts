// A folder that only this user can read, for the time that one child runs: what a program takes from files alone, a key
// say, is there for that long.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createWorkFolder } from '../lib/work-folder.ts';

export interface PrivateFolder {
  readonly path: string;
  /** Readable by this user alone. @returns its path */
  write(name: string, text: string): Promise<string>;
}

/** In the system's temporary folder; what a crash left there is removed when the next one is made. */
const prefix = 'eka-ci-push-';

/** Gives `work` a folder that is gone afterwards, however it ends. */
export const withPrivateFolder = async <Result>(
  work: (folder: PrivateFolder) => Promise<Result>,
): Promise<Result> => {
  const folder = await createWorkFolder(prefix);
  try {
    return await work({
      path: folder.path,
      write: async (name, text) => {
        const file = join(folder.path, name);
        await writeFile(file, text, { mode: 0o600, flag: 'wx' });
        return file;
      },
    });
  } finally {
    await folder.remove();
  }
};
