// How much a command has written into its copy of the tree, so that it cannot fill the disk.
import { lstat, readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';

const mib = 1024 * 1024;

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

interface DiskUse {
  readonly files: number;
  readonly bytes: number;
}

/** Links are not followed. What goes away meanwhile, or cannot be read, counts nothing. */
const measureTree = async (root: string): Promise<DiskUse> => {
  let [files, bytes] = [0, 0];
  const folders = [root];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const path = folder;
    const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      files += 1;
      if (entry.isDirectory()) folders.push(join(path, entry.name));
      else bytes += ((await lstat(join(path, entry.name)).catch(() => null))?.blocks ?? 0) * 512;
    }
  }
  return { files, bytes };
};

export interface DiskWatch {
  /** False when it wrote more than it may. Cheap, unless the disk itself lost as much as that. */
  isWithin(): Promise<boolean>;
}

/** @param tree as the command gets it */
export const watchDisk = async (tree: string, bounds: DiskBounds): Promise<DiskWatch> => {
  const before = await statfs(tree);
  const maxBytes = bounds.maxTreeMib * mib;
  const lostMuch = ({ bfree, ffree, bsize }: typeof before): boolean =>
    (before.bfree - bfree) * bsize > maxBytes * alarmingPart ||
    before.ffree - ffree > bounds.maxFiles * alarmingPart;
  return {
    isWithin: async () => {
      const now = await statfs(tree);
      if (now.bavail * now.bsize < bounds.minFreeMib * mib) return false;
      if (!lostMuch(now)) return true;
      const { bytes, files } = await measureTree(tree);
      return bytes <= maxBytes && files <= bounds.maxFiles;
    },
  };
};
