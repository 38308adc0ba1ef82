// Arguments of bubblewrap that show a part of the machine, to read; none for what is not there.
import { existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs';

/** A link stays a link: what it points to is shown by another, or is of no use. */
export const showAsIs = (path: string): string[] => {
  if (!existsSync(path)) return [];
  return lstatSync(path).isSymbolicLink()
    ? ['--symlink', readlinkSync(path), path]
    : ['--ro-bind', path, path];
};

/** What a link leads to is there in its place. */
export const showTarget = (path: string): string[] =>
  existsSync(path) ? ['--ro-bind', realpathSync(path), path] : [];
