// How much a command has written into its copy of the tree, so that it cannot fill the disk.
import { lstat, readdir, stat, statfs } from 'node:fs/promises';
import { errorCodeOf } from '../lib/error-code.ts';

const mib = 1024 * 1024;
/** Of st_blocks, whatever the disk's own are. */
const blockBytes = 512;

export interface DiskBounds {
  /** Of the copy as a whole, with what it had at first. */
  readonly maxTreeMib: number;
  readonly maxFiles: number;
  /** The machine needs some: below it, whoever wrote it, the command ends. */
  readonly minFreeMib: number;
}

export const defaultDiskBounds: DiskBounds = { maxTreeMib: 16_384, maxFiles: 2_000_000, minFreeMib: 512 };

/** To look through a tree is dear: it is done when the disk itself lost this part of a bound. */
const alarmingPart = 1 / 8;

/** What went away meanwhile. */
const gone = new Set<string | undefined>(['ENOENT', 'ENOTDIR', 'ESRCH']);

const unlessGone = (error: unknown): null => {
  if (gone.has(errorCodeOf(error))) return null;
  throw error;
};

interface Bound {
  readonly maxBytes: number;
  readonly maxFiles: number;
}

/**
 * Links are not followed, and names are bytes. What goes away meanwhile counts nothing.
 * @returns Infinity when there is more than the bound, or something that we cannot look at
 */
const measureTree = async (root: string, { maxBytes, maxFiles }: Bound): Promise<number> => {
  let [files, bytes] = [0, 0];
  const folders = [Buffer.from(root)];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const entries = await readdir(folder, { withFileTypes: true, encoding: 'buffer' }).catch(unlessGone);
    for (const entry of entries ?? []) {
      files += 1;
      const path = Buffer.concat([folder, Buffer.from('/'), entry.name]);
      if (entry.isDirectory()) folders.push(path);
      else bytes += ((await lstat(path).catch(unlessGone))?.blocks ?? 0) * blockBytes;
      if (bytes > maxBytes || files > maxFiles) return Infinity;
    }
  }
  return bytes;
};

/** Of files on this disk that have no name any more, and are there as long as these processes have them open. */
const measureNameless = async (device: number, pids: readonly number[]): Promise<number> => {
  const blocks = new Map<number, number>();
  for (const pid of pids) {
    // A process that the kernel does not show to us counts nothing, as everywhere in this watch.
    for (const name of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const file = await stat(`/proc/${pid}/fd/${name}`).catch(() => null);
      if (file?.isFile() && file.nlink === 0 && file.dev === device) blocks.set(file.ino, file.blocks);
    }
  }
  return [...blocks.values()].reduce((sum, each) => sum + each * blockBytes, 0);
};

export interface DiskWatch {
  /**
   * False when it wrote more than it may. Cheap, unless the disk itself lost as much as that.
   * @param processes which the command has now
   */
  isWithin(processes: () => readonly number[]): Promise<boolean>;
}

/** @param tree as the command gets it */
export const watchDisk = async (tree: string, bounds: DiskBounds): Promise<DiskWatch> => {
  const before = await statfs(tree);
  const { dev } = await lstat(tree);
  const { maxFiles } = bounds;
  const maxBytes = bounds.maxTreeMib * mib;
  const lostMuch = ({ bfree, ffree, bsize }: typeof before): boolean =>
    (before.bfree - bfree) * bsize > maxBytes * alarmingPart ||
    before.ffree - ffree > maxFiles * alarmingPart;
  return {
    isWithin: async (processes) => {
      const now = await statfs(tree);
      if (now.bavail * now.bsize < bounds.minFreeMib * mib) return false;
      if (!lostMuch(now)) return true;
      // Nobody but the command closes a folder, or makes one whose path is too long.
      const bytes = await measureTree(tree, { maxBytes, maxFiles }).catch(() => Infinity);
      return bytes <= maxBytes && bytes + (await measureNameless(dev, processes())) <= maxBytes;
    },
  };
};
