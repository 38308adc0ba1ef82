// Keeps what is to be pushed from garbage collection until it was, or until retention takes away roots of that age: a folder
// of roots for each publication, beside those of judgements.
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { createRootKeeper, type RootPaths } from '@eka-ci/nix/gc-roots';
import { removeTree } from '../../lib/work-folder.ts';

export interface PushRoots {
  /** Of valid paths. @returns null, or why they are not kept, for people. Never rejects */
  keep(publicationId: number, paths: readonly (DrvPath | StorePath)[]): Promise<string | null>;
  /** Lets go of all other publications. */
  release(allBut: ReadonlySet<number>): Promise<void>;
}

/** What one text file of roots may name. */
const pathsAtOnce = 5000;

const folderName = /^push-(?<id>[1-9]\d{0,15})$/;

export const createPushRoots = (rootPaths: RootPaths, folder: string): PushRoots => ({
  async keep(publicationId, paths) {
    try {
      for (let at = 0; at < paths.length; at += pathsAtOnce) {
        const keeper = createRootKeeper(rootPaths, join(folder, `push-${publicationId}`));
        for (const path of paths.slice(at, at + pathsAtOnce)) keeper.add(path);
        await keeper.finish();
      }
      return null;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  },
  async release(allBut) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(folder)) {
      const id = folderName.exec(name)?.groups?.['id'];
      if (id !== undefined && !allBut.has(Number(id))) await removeTree(join(folder, name));
    }
  },
});
