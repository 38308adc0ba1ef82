// Keeps what a change built from garbage collection: a folder of roots for each judgement, which retention removes.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { StorePath } from '@eka-ci/core/ids';
import { createRootKeeper, type RootPaths } from '@eka-ci/nix/gc-roots';

/** What a folder of one judgement's roots is called; and one of what waits to be pushed, of one publication. */
export const outputRootsName = /^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|push-[1-9]\d{0,15})$/;

/** Of one judgement. */
export interface OutputRoots {
  /** Valid ones, as a derivation has them; one that is not known there is passed over. They are rooted soon. */
  add(outputs: Iterable<string>): void;
  /** Resolves when all are rooted: null, or why some are not, for people. Never rejects. */
  finish(): Promise<string | null>;
}

/** A build that is done an hour before its change must not be collected meanwhile; half a minute may pass. */
const gatherMs = 30_000;

/** @param folder of the roots of all judgements */
export const createOutputRoots = (rootPaths: RootPaths, folder: string): OutputRoots => {
  const keeper = createRootKeeper(rootPaths, join(folder, randomUUID()), gatherMs);
  const added = new Set<string>();
  return {
    add(outputs) {
      for (const output of outputs) {
        if (output === '' || added.has(output)) continue;
        added.add(output);
        // As it stands in the derivation; whether it is a path of the store is for Nix to check.
        keeper.add(output as StorePath);
      }
    },
    async finish() {
      if (added.size === 0) return null;
      try {
        await keeper.finish();
        return null;
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    },
  };
};
