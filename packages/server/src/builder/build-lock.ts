// Whether a builder that a daemon runs for us is gone. While it runs, the daemon's process for our connection holds a lock on
// each output, and Linux shows every lock and its holder to everybody. Nix 2.34 may free the lock a moment before the
// builder's end, and all of them end the process after it, so both are waited for.

import { readFile, stat } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import type { DrvPath } from '@eka-ci/core/ids';
import { fieldOf } from '../lib/process-stat.ts';
import { readDerivation } from './judge-build.ts';

export interface HeldLock {
  readonly inode: string;
  /** Of the process that holds it; `0` where it is in another namespace. */
  readonly pid: string;
}

/** How long the end of a builder is waited for that somebody holds up. */
const longestWaitMs = 15_000;
/** In which a daemon notices that its client has gone, and has ended the builder (within a second in 2.8, 2.26 and 2.34). */
const usualWaitMs = 1500;
const pauseMs = 20;

/** Lines such as `1: FLOCK  ADVISORY  WRITE 123 fd:01:456 0 EOF`; those with an arrow only wait. None where there is no /proc. */
const readLocks = async (): Promise<HeldLock[]> => {
  const text = await readFile('/proc/locks', 'latin1').catch(() => '');
  const lines = text.matchAll(/^\d+: FLOCK +\S+ +WRITE +(\d+) [0-9a-f]+:[0-9a-f]+:(\d+) /gm);
  return [...lines].map(([, pid = '0', inode = '']) => ({ inode, pid }));
};

/** Nix locks what is made; where that is not known before, the derivation. */
const lockFilesOf = async (drv: DrvPath): Promise<string[]> => {
  const derivation = await readDerivation(drv);
  const outputs = typeof derivation === 'string' ? [] : derivation.outputs.map(({ path }) => path);
  return [...outputs.filter((path) => path !== ''), drv].map((path) => `${path}.lock`);
};

const inodeOf = (file: string): Promise<string | null> =>
  stat(file, { bigint: true }).then(
    ({ ino }) => String(ino),
    () => null,
  );

/**
 * The locks of `drv` that are held. Told apart by inodes alone, for what `stat` says of a device is not always what the
 * kernel shows here; a locked file of another disk with the same number costs no more than time.
 */
export const findHeldLocks = async (drv: DrvPath): Promise<readonly HeldLock[]> => {
  const locks = await readLocks();
  if (locks.length === 0) return [];
  const inodes = await Promise.all((await lockFilesOf(drv)).map(inodeOf));
  return locks.filter(({ inode }) => inodes.includes(inode));
};

/** One that has ended and was not waited for yet is gone; so is one that we may not see, of which the id may be 0. */
const isRunning = async (pid: string): Promise<boolean> => {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => null);
  return text !== null && !['Z', 'X'].includes(fieldOf(text)(3));
};

const isAnyHeld = async (held: readonly HeldLock[]): Promise<boolean> => {
  const now = await readLocks();
  if (held.some((lock) => now.some(({ inode, pid }) => inode === lock.inode && pid === lock.pid)))
    return true;
  const running = await Promise.all(held.map(({ pid }) => isRunning(pid)));
  return running.includes(true);
};

/**
 * Call it when the daemon has been left, with what was held before. Resolves when the locks are free and their holders gone;
 * where none was to be seen (no /proc, or the daemon beyond a container's wall), after the time that a daemon takes.
 */
export const untilBuilderIsGone = async (held: readonly HeldLock[]): Promise<void> => {
  if (held.length === 0) {
    await setTimeout(usualWaitMs);
    return;
  }
  for (let waitedMs = 0; waitedMs < longestWaitMs && (await isAnyHeld(held)); waitedMs += pauseMs) {
    await setTimeout(pauseMs);
  }
};
