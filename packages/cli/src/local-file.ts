// Where a file lies in the git repository that holds it.
import { lstat, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';

export type LocatedFile =
  /** `file` is relative to the repository's root. */
  | { readonly kind: 'found'; readonly root: string; readonly file: string }
  /** `message` says what to name instead. */
  | { readonly kind: 'refused'; readonly message: string };

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );

/** The nearest folder upwards that has a `.git`, which is a file in linked worktrees. */
const findRoot = async (folder: string): Promise<string | null> => {
  for (let at = folder; ; at = dirname(at)) {
    if (await exists(join(at, '.git'))) return at;
    if (dirname(at) === at) return null;
  }
};

/** @param path of a file, or of a folder, which means its default.nix */
export const locateFile = async (path: string): Promise<LocatedFile> => {
  const given = resolve(path);
  const found = await stat(given).catch(() => null);
  if (found === null) return { kind: 'refused', message: `${path} does not exist: name a Nix file` };
  const file = found.isDirectory() ? join(given, 'default.nix') : given;
  // Links on the way may lead into the repository; the file itself is the repository's own, link or not.
  const folder = await realpath(dirname(file));
  const root = await findRoot(folder);
  if (root === null) {
    return { kind: 'refused', message: `${path} is in no git repository: name a file of one` };
  }
  return { kind: 'found', root, file: relative(root, join(folder, basename(file))) };
};
