// Where a program is, as the system would look for it.
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export const isExecutable = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false; // Not there, or not ours to run.
  }
};

/** The full path of a program on `searchPath` (the form of `$PATH`), or null. */
export const findProgram = (name: string, searchPath = process.env['PATH'] ?? ''): string | null => {
  for (const folder of searchPath.split(delimiter)) {
    if (folder === '') continue;
    const file = join(folder, name);
    if (isExecutable(file)) return file;
  }
  return null;
};
