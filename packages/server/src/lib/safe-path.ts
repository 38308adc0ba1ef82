// Paths that came from outside: parsed into a type that cannot leave its root, and resolved without leaving it.
import { lstat, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCodeOf } from './error-code.ts';

declare const safe: unique symbol;

/**
 * A relative path of plain components joined by `/`: never absolute, no `..`, no `.`, no empty component, no
 * control character. The empty string is the root itself. What it names may still be a symbolic link.
 */
export type SafePath = string & { readonly [safe]: true };

/** Linux's PATH_MAX with the closing NUL. */
const longestPath = 4095;
/** As many as Linux follows before it answers ELOOP. */
const mostLinks = 40;

/** Control characters of ASCII and of Latin-1: none belongs into a path that people write into a file. */
const controlCharacter = /[\u0000-\u001f\u007f-\u009f]/;

export type ParsedPath =
  | { readonly kind: 'path'; readonly path: SafePath }
  /** `reason` continues a sentence that names the path, for example `contains ".."`. */
  | { readonly kind: 'refused'; readonly reason: string };

const refused = (reason: string): ParsedPath => ({ kind: 'refused', reason });

/** Reads a path relative to a root. Leading slashes mean the root; nothing is decoded: `%2e%2e` is a file's name. */
export const parseSafePath = (text: string): ParsedPath => {
  if (text === '') return refused('is empty');
  if (controlCharacter.test(text)) return refused('contains a control character');
  if (Buffer.byteLength(text) > longestPath) return refused(`is longer than ${longestPath} bytes`);
  const components = text.split('/').filter((component) => component !== '' && component !== '.');
  if (components.includes('..')) return refused('contains ".."');
  return { kind: 'path', path: components.join('/') as SafePath };
};

export type Resolved =
  /** Where the path leads after all links, relative to the root; `''` is the root. */
  | { readonly kind: 'file' | 'directory' | 'other'; readonly path: string }
  | { readonly kind: 'missing'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

interface Walk {
  readonly root: string;
  /** Components that are known to be real directories below the root. */
  readonly done: string[];
  /** Components that are still to be looked at, the next one last. */
  readonly todo: string[];
  links: number;
}

const pushAll = (walk: Walk, components: readonly string[]): void => {
  for (const component of [...components].reverse()) walk.todo.push(component);
};

/** Replaces a link by its target's components, or says why it may not be followed. */
const followLink = async (walk: Walk, name: string): Promise<Resolved | null> => {
  const link = [...walk.done, name].join('/');
  const target = await readlink(join(walk.root, link));
  if (target.startsWith('/')) {
    return { kind: 'refused', reason: `leaves the checkout: "${link}" is a link to "${target}"` };
  }
  if (++walk.links > mostLinks) {
    return { kind: 'refused', reason: `leads through more than ${mostLinks} symbolic links (a loop?)` };
  }
  pushAll(walk, target.split('/'));
  return null;
};

/** Takes one component. A result ends the walk, null goes on. */
const step = async (walk: Walk, name: string): Promise<Resolved | null> => {
  if (name === '' || name === '.') return null;
  if (name === '..') {
    return walk.done.pop() === undefined
      ? { kind: 'refused', reason: 'leaves the checkout through a symbolic link' }
      : null;
  }
  const found = await lstat(join(walk.root, ...walk.done, name));
  if (found.isSymbolicLink()) return await followLink(walk, name);
  walk.done.push(name);
  if (found.isDirectory()) return null;
  const path = walk.done.join('/');
  if (walk.todo.length > 0)
    return { kind: 'missing', reason: `does not exist: "${path}" is not a directory` };
  return { kind: found.isFile() ? 'file' : 'other', path };
};

/**
 * Follows a path below `root`, component by component, as the kernel would, but never through an absolute link
 * and never above the root, not even to come back: where the tree will be evaluated it lies elsewhere.
 * @param root a directory whose own path is trusted
 */
export const resolveWithin = async (root: string, path: SafePath): Promise<Resolved> => {
  const walk: Walk = { root, done: [], todo: [], links: 0 };
  pushAll(walk, path.split('/'));
  try {
    for (let name = walk.todo.pop(); name !== undefined; name = walk.todo.pop()) {
      const end = await step(walk, name);
      if (end !== null) return end;
    }
  } catch (error) {
    const code = errorCodeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      return { kind: 'missing', reason: walk.links > 0 ? 'is a link to nothing' : 'does not exist' };
    }
    if (code === 'ENAMETOOLONG') return { kind: 'refused', reason: 'has a name that is too long' };
    throw error;
  }
  return { kind: 'directory', path: walk.done.join('/') };
};
