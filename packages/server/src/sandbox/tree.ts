// A checkout, entry by entry: out of one folder, into another. Links stay links and are never followed; what is neither
// file, folder nor link is left out.
import { constants } from 'node:fs';
import { copyFile, lchown, mkdir, open, readdir, readlink, symlink } from 'node:fs/promises';

/**
 * Names are bytes: each character of a path here is one of them (latin1), so that a name in no encoding survives.
 * Relative to the tree, without a leading or a trailing slash.
 */
export type TreeEntry =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'link'; readonly path: string; readonly target: string };

/** For the system. @param root in UTF-8, as everywhere else */
export const pathIn = (root: string, path: string): Buffer =>
  Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]);

/** Each folder before what is in it; the tree itself is not named. */
export async function* readTree(root: string): AsyncGenerator<TreeEntry> {
  const folders = [''];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const entries = await readdir(pathIn(root, folder), { withFileTypes: true, encoding: 'buffer' });
    for (const entry of entries) {
      const path = `${folder}${folder === '' ? '' : '/'}${entry.name.toString('latin1')}`;
      if (entry.isDirectory()) {
        folders.push(path);
        yield { kind: 'folder', path };
      } else if (entry.isFile()) {
        yield { kind: 'file', path };
      } else if (entry.isSymbolicLink()) {
        const target = await readlink(pathIn(root, path), { encoding: 'buffer' });
        yield { kind: 'link', path, target: target.toString('latin1') };
      }
    }
  }
}

/** Thrown for a tree that names something outside of itself, or that is too large. */
export class TreeError extends Error {
  readonly code = 'SANDBOX_TREE_REFUSED';
  constructor(path: string, why: string) {
    super(`the tree for the sandbox has ${JSON.stringify(path)}: ${why}`);
    this.name = 'TreeError';
  }
}

const maxNameBytes = 255;

/**
 * Writes into a folder that nobody else writes to. A parent must have been made before, as a folder: so no path leads
 * through a link, whatever it points to.
 */
export const createTreeWriter = async (root: string) => {
  await mkdir(root, { mode: 0o755 });
  const folders = new Set(['']);
  const inside = (path: string): Buffer => {
    const at = path.lastIndexOf('/');
    const name = path.slice(at + 1);
    if (name === '' || name === '.' || name === '..' || name.length > maxNameBytes || path.includes('\0')) {
      throw new TreeError(path, 'that is no name');
    }
    if (!folders.has(at === -1 ? '' : path.slice(0, at)))
      throw new TreeError(path, 'its folder was not named before');
    return pathIn(root, path);
  };
  return {
    folder: async (path: string): Promise<void> => {
      await mkdir(inside(path), { mode: 0o755 });
      folders.add(path);
    },
    link: async (path: string, target: string): Promise<void> => {
      await symlink(Buffer.from(target, 'latin1'), inside(path));
    },
    copy: async (path: string, from: string): Promise<void> => {
      await copyFile(pathIn(from, path), inside(path), constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    },
    /** The caller closes it. */
    create: (path: string, isExecutable: boolean) => open(inside(path), 'wx', isExecutable ? 0o755 : 0o644),
  };
};

/** Copies of files that are made at once: Node has four threads for them. */
const copiesAtOnce = 8;

/** @throws the signal's reason; system errors as they are */
export const copyTree = async (from: string, to: string, signal: AbortSignal): Promise<void> => {
  const writer = await createTreeWriter(to);
  const copies = new Set<Promise<void>>();
  for await (const entry of readTree(from)) {
    signal.throwIfAborted();
    if (entry.kind === 'folder') await writer.folder(entry.path);
    else if (entry.kind === 'link') await writer.link(entry.path, entry.target);
    else {
      const copy = writer.copy(entry.path, from).finally(() => copies.delete(copy));
      copies.add(copy);
      if (copies.size >= copiesAtOnce) await Promise.race(copies);
    }
  }
  await Promise.all(copies);
};

/** Makes everything in a tree, and the tree, somebody's. Links are changed themselves. */
export const giveTree = async (root: string, id: number): Promise<void> => {
  await lchown(root, id, id);
  for await (const { path } of readTree(root)) await lchown(pathIn(root, path), id, id);
};
