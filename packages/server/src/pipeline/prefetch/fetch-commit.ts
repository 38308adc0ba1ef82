// A commit that a lock file names → its files, with those of its submodules where they belong to it. All of them come from
// strangers: their addresses, how many there are, and how deep they go.
import { randomUUID } from 'node:crypto';
import { lstat, mkdir, readdir, rename, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { LockedInput } from '@eka-ci/nix/locked-inputs/locked-input';
import type { DestinationGuard } from '../../config/destination-guard.ts';
import {
  type ExportedCommit,
  type Git,
  GitError,
  type GitErrorCode,
  type RemoteCommit,
  type Submodule,
} from '../../git/git.ts';
import { removeTree } from '../../lib/work-folder.ts';
import { notPublic } from './download.ts';
import type { PrivateInputs } from './private-inputs.ts';
import { shownName } from './read-locks.ts';
import { submoduleAddress } from './submodule-address.ts';

export interface FetchCommitDeps {
  readonly guard: DestinationGuard;
  readonly git: Pick<Git, 'exportRemoteCommit'>;
  /** Null: nothing is fetched with credentials. */
  readonly privateInputs: PrivateInputs | null;
  /** Of the commit and its submodules together. */
  readonly maxBytes: number;
}

/** `sizeBytes`: about what was fetched. */
export type FetchedCommit =
  | { readonly kind: 'fetched'; readonly tree: string; readonly sizeBytes: number }
  /** `why`: for people. */
  | { readonly kind: 'failed'; readonly why: string; readonly sizeBytes: number };

/** What no other commit and no other server would change. */
const ourFaults: readonly GitErrorCode[] = [
  'GIT_DISK_FULL',
  'GIT_READ_ONLY',
  'GIT_NOT_INSTALLED',
  'GIT_TOO_OLD',
];

/** More than anything has that is meant to be evaluated. */
const mostSubmodules = 100;
const mostDeep = 8;
/** All together: as of a single commit. */
const mostEntries = 200_000;

/** Makes the fetching of a commit fail, and is nobody's bug; never leaves this file. */
class CommitFault extends Error {
  readonly code = 'COMMIT_REFUSED';
}

interface Left {
  bytes: number;
  entries: number;
  submodules: number;
}

/** What git wrote, links not followed: of what failed it does not say how much arrived. */
const folderBytes = async (folder: string): Promise<number> => {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await lstat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
};

const take = (left: Left, { bytes = 0, entries = 0, submodules = 0 }: Partial<Left>): void => {
  left.bytes = Math.max(0, left.bytes - bytes);
  left.entries = Math.max(0, left.entries - entries);
  left.submodules = Math.max(0, left.submodules - submodules);
};

interface Fetching {
  readonly deps: FetchCommitDeps;
  readonly input: LockedInput;
  /** Ours alone. */
  readonly folder: string;
  readonly left: Left;
  readonly signal: AbortSignal;
}

interface Wanted {
  readonly url: string;
  readonly rev: string;
}

type Place = Pick<RemoteCommit, 'url' | 'addresses' | 'authorization'>;

const exportFrom = async (
  { deps, input, folder, left, signal }: Fetching,
  place: Place,
  rev: string,
): Promise<ExportedCommit | string> => {
  const own = join(folder, randomUUID());
  const bounds = { maxBytes: left.bytes, maxEntries: left.entries };
  const wanted = input.submodules ? { maxSubmodules: left.submodules } : {};
  await mkdir(own);
  try {
    return await deps.git.exportRemoteCommit({ ...place, ...bounds, ...wanted, rev, folder: own }, signal);
  } catch (error) {
    signal.throwIfAborted();
    take(left, { bytes: await folderBytes(own) });
    await removeTree(own);
    if (!(error instanceof GitError) || ourFaults.includes(error.code)) throw error;
    return `git could not fetch it (${error.code})`;
  } finally {
    await removeTree(join(own, 'fetched.git'));
  }
};

const openly = async (fetching: Fetching, { url, rev }: Wanted): Promise<ExportedCommit | string> => {
  const { deps, signal } = fetching;
  const judged = await deps.guard.check(url, signal);
  if (judged.kind !== 'allowed') return notPublic;
  return exportFrom(fetching, { url, addresses: judged.addresses }, rev);
};

/** As anybody may have it, else with the forge's token where there is one for it. @throws CommitFault */
const exportOne = async (fetching: Fetching, wanted: Wanted): Promise<ExportedCommit> => {
  const { deps, input, signal } = fetching;
  const open = await openly(fetching, wanted);
  if (typeof open !== 'string') return open;
  const access = await deps.privateInputs?.ask({ input, url: wanted.url, of: 'repository' }, signal);
  if (access?.kind !== 'granted') throw new CommitFault([open, access?.why ?? []].flat().join(', '));
  const { url, authorization } = access;
  const exported = await exportFrom(fetching, { url, addresses: [], authorization }, wanted.rev);
  if (typeof exported === 'string') throw new CommitFault(exported);
  return exported;
};

/** @returns the folder, which is empty, and no link leads to it @throws CommitFault */
const emptyFolder = async (tree: string, path: string): Promise<string> => {
  let folder = tree;
  for (const name of path.split('/')) {
    folder = join(folder, name);
    const found = await lstat(folder).catch(() => null);
    if (found?.isDirectory() !== true) throw new CommitFault('there is no folder for it');
  }
  await rmdir(folder).catch((error: unknown) => {
    throw new CommitFault('there is something in its folder', { cause: error });
  });
  return folder;
};

/** @throws CommitFault */
const putSubmodule = async (
  fetching: Fetching,
  {
    parent,
    tree,
    submodule,
  }: { readonly parent: string; readonly tree: string; readonly submodule: Submodule },
  depth: number,
): Promise<void> => {
  const url = submodule.url === null ? null : submoduleAddress(parent, submodule.url);
  if (submodule.url === null) throw new CommitFault('.gitmodules does not say where it is');
  if (url === null) throw new CommitFault(notPublic);
  if (depth >= mostDeep) throw new CommitFault(`submodules are more than ${mostDeep} deep in each other`);
  const fetched = await exportTree(fetching, { url, rev: submodule.rev }, depth + 1);
  await rename(fetched, await emptyFolder(tree, submodule.path));
};

/** @throws CommitFault */
const exportTree = async (fetching: Fetching, wanted: Wanted, depth: number): Promise<string> => {
  const { left } = fetching;
  const { tree, submodules, entries, sizeBytes } = await exportOne(fetching, wanted);
  take(left, { bytes: sizeBytes, entries, submodules: submodules.length });
  // One after the other: what one takes of what is left is known before the next.
  for (const submodule of submodules) {
    try {
      await putSubmodule(fetching, { parent: wanted.url, tree, submodule }, depth);
    } catch (error) {
      if (!(error instanceof CommitFault)) throw error;
      throw new CommitFault(
        error.message.startsWith('its submodule ')
          ? error.message
          : `its submodule ${shownName(submodule.path)} cannot be had: ${error.message}`,
      );
    }
  }
  return tree;
};

/**
 * @param folder ours alone; gets all that is written
 * @throws the signal's reason; GitError for what is our own fault; what writing to the disk throws
 */
export const fetchCommit = async (
  deps: FetchCommitDeps,
  {
    input,
    commit,
    folder,
  }: { readonly input: LockedInput; readonly commit: string; readonly folder: string },
  signal: AbortSignal,
): Promise<FetchedCommit> => {
  const left: Left = { bytes: deps.maxBytes, entries: mostEntries, submodules: mostSubmodules };
  const sizeBytes = (): number => deps.maxBytes - left.bytes;
  try {
    const wanted = { url: input.url, rev: commit };
    const tree = await exportTree({ deps, input, folder, left, signal }, wanted, 0);
    return { kind: 'fetched', tree, sizeBytes: sizeBytes() };
  } catch (error) {
    if (!(error instanceof CommitFault)) throw error;
    return { kind: 'failed', why: error.message, sizeBytes: sizeBytes() };
  }
};
