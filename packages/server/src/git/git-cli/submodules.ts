// Which repositories the submodules of a commit are of. `.gitmodules` is written by strangers, and read by git itself: as
// configuration, of which nothing but paths and URLs is taken.
import type { TreeSha } from '@eka-ci/core/ids';
import { GitError, type Submodule } from '../git.ts';
import type { Repository } from './repository.ts';
import { splitNul } from './run-git.ts';
import type { Gitlink } from './tree-bounds.ts';
import { readTreeFile } from './tree-contents.ts';

const file = '.gitmodules';
const maxFileBytes = 256 * 1024;

const unreadable = (why: string, cause?: unknown): GitError =>
  new GitError('GIT_FETCH_FAILED', `its ${file} cannot be read: ${why}`, cause);

/** @throws GitError where the file is no plain one, or too long */
const isThere = async (repository: Repository, tree: TreeSha): Promise<boolean> => {
  const bytes = await readTreeFile(repository, tree, { path: file, maxBytes: maxFileBytes + 1 });
  if (bytes === null) return false;
  if (bytes.length > maxFileBytes) throw unreadable(`it is larger than ${maxFileBytes / 1024} KiB`);
  return true;
};

const readSettings = async (repository: Repository, tree: TreeSha): Promise<string> => {
  // What it includes is not read: only files of the user's own configuration may include others.
  const args = ['config', '--no-includes', '-z', `--blob=${tree}:${file}`];
  const { stdout, stderr } = await repository
    .run({
      doing: `reading ${file}`,
      args: [...args, '--get-regexp', '^submodule\\..*\\.(path|url)$'],
      // Nothing of the kind is in it.
      accept: [0, 1],
    })
    .catch((error: unknown) => {
      throw error instanceof GitError ? unreadable('git does not understand it', error) : error;
    });
  // Of what it cannot read in a blob it says so, and ends as if nothing were there.
  if (stderr.trim() !== '') throw unreadable('git does not understand it');
  return stdout;
};

/** URLs by the paths of the submodules; of what is there twice the last counts, as for git. */
const urlsByPath = (settings: string): ReadonlyMap<string, string> => {
  const byName = new Map<string, { path?: string; url?: string }>();
  for (const setting of splitNul(settings)) {
    const [, name, key, value] = /^submodule\.(.*)\.(path|url)\n(.*)$/s.exec(setting) ?? [];
    if (name === undefined || (key !== 'path' && key !== 'url') || value === undefined) continue;
    byName.set(name, { ...byName.get(name), [key]: value });
  }
  const urls = new Map<string, string>();
  for (const { path, url } of byName.values()) {
    if (path !== undefined && url !== undefined) urls.set(path.replace(/\/+$/, ''), url);
  }
  return urls;
};

/** @throws GitError GIT_FETCH_FAILED, GIT_NOT_A_FILE */
export const readSubmodules = async (
  repository: Repository,
  tree: TreeSha,
  gitlinks: readonly Gitlink[],
): Promise<Submodule[]> => {
  if (gitlinks.length === 0) return [];
  const urls = (await isThere(repository, tree)) ? urlsByPath(await readSettings(repository, tree)) : null;
  return gitlinks.map(({ path, rev }) => ({ path, rev, url: urls?.get(path) ?? null }));
};
