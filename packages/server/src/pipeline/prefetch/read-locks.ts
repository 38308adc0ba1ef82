// The lock files of a tree → what they lock. They come from strangers: of any size, and about anything.
import type { TreeSha } from '@eka-ci/core/ids';
import { readFlakeLock } from '@eka-ci/nix/locked-inputs/flake-lock';
import type { LockedInput, ReadLockFile } from '@eka-ci/nix/locked-inputs/locked-input';
import { readNiv, readNpins } from '@eka-ci/nix/locked-inputs/source-files';
import { GitError, type Mirror } from '../../git/git.ts';

export interface LocksOfTree {
  readonly inputs: readonly LockedInput[];
  /** Sentences for the summary. */
  readonly warnings: readonly string[];
}

const maxLockBytes = 2 * 1024 * 1024;
/** More than any flake has that is meant to be evaluated. */
const mostInputs = 500;
/** Of sentences about one lock file. */
const mostWarnings = 10;

type ReadText = (path: string) => Promise<string | null>;

/** Null for what is not there, is no file, or is too long. */
const createReadText =
  (mirror: Pick<Mirror, 'readFile'>, tree: TreeSha): ReadText =>
  async (path) => {
    try {
      const bytes = await mirror.readFile(tree, path, maxLockBytes + 1);
      return bytes === null || bytes.length > maxLockBytes ? null : new TextDecoder().decode(bytes);
    } catch (error) {
      if (error instanceof GitError && error.code === 'GIT_NOT_A_FILE') return null;
      throw error;
    }
  };

type Reader = (readText: ReadText, text: string, storeDir: string) => ReadLockFile | Promise<ReadLockFile>;

const readers: Readonly<Record<string, Reader>> = {
  'flake.lock': (_, text, storeDir) => readFlakeLock(text, storeDir),
  'npins/sources.json': (_, text, storeDir) => readNpins(text, storeDir),
  'nix/sources.json': async (readText, text, storeDir) =>
    readNiv(text, await readText('nix/sources.nix'), storeDir),
};

/** Names are printed: cut, and without what does not print. */
export const shownName = (name: string): string =>
  JSON.stringify(name.slice(0, 100).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?'));

const atMost = (file: string, sentences: readonly string[]): string[] =>
  sentences.length <= mostWarnings
    ? [...sentences]
    : [...sentences.slice(0, mostWarnings), `${file}: and ${sentences.length - mostWarnings} more of these.`];

/** @throws GitError */
export const readLocks = async (
  mirror: Pick<Mirror, 'readFile'>,
  tree: TreeSha,
  storeDir: string,
): Promise<LocksOfTree> => {
  const readText = createReadText(mirror, tree);
  const inputs = new Map<string, LockedInput>();
  const warnings: string[] = [];
  for (const [file, read] of Object.entries(readers)) {
    const text = await readText(file);
    if (text === null) continue;
    const lock = await read(readText, text, storeDir);
    if (lock.kind === 'unreadable') {
      warnings.push(`${file}: nothing of it is fetched before the evaluation, for ${lock.why}.`);
      continue;
    }
    for (const input of lock.inputs) inputs.set(input.storePath, input);
    warnings.push(
      ...atMost(
        file,
        lock.passedOver.map(({ name, why }) => `${file}: ${shownName(name)} ${why}.`),
      ),
    );
  }
  if (inputs.size <= mostInputs) return { inputs: [...inputs.values()], warnings };
  const left = `The lock files name ${inputs.size} inputs: only the first ${mostInputs} are fetched.`;
  return { inputs: [...inputs.values()].slice(0, mostInputs), warnings: [...warnings, left] };
};
