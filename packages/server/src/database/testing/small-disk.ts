// A disk of few megabytes, for what happens when it is full.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  readonly folder: string;
  /** Takes all that is free, to the last page. Idempotent. */
  fill(): void;
  /** Gives back what `fill` took. */
  empty(): void;
  makeReadOnly(): void;
  remove(): void;
}

/** Null where this user may not mount. @param size as mount takes it: `2m` */
export const mountSmallDisk = (size: string): SmallDisk | null => {
  const folder = mkdtempSync(join(tmpdir(), 'eka-ci-small-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    rmSync(folder, { recursive: true });
    return null;
  }
  const filler = join(folder, 'filler');
  return {
    folder,
    fill() {
      const { bavail, bsize } = statfsSync(folder);
      try {
        writeFileSync(filler, Buffer.alloc((bavail + 1) * bsize), { flag: 'a' });
      } catch {
        // It does not fit, so it was cut: nothing is left.
      }
    },
    empty: () => rmSync(filler, { force: true }),
    makeReadOnly: () => void execFileSync('mount', ['-o', 'remount,ro', folder]),
    remove() {
      // Lazily: after a failed expectation what is on it is still open.
      execFileSync('umount', ['-l', folder]);
      rmSync(folder, { recursive: true });
    },
  };
};
