// What derivations were built from: for a cache that is to hold more than what the results need to run.
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { parseStorePath } from '@eka-ci/nix/store-path';
import { chunkArguments } from '@eka-ci/nix/store-queries';
import { runChild } from '@eka-ci/process';
import { CacheError } from './cache.ts';
import { passing } from './push-fault.ts';

/**
 * Of these derivations and all that they were built from, directly or over others: the outputs that are in the store, and the
 * sources; no derivation files. In no order that means anything.
 * @throws CacheError where the store does not answer; the signal's reason
 */
export const buildTimePaths = async (
  nix: NixInstallation,
  drvPaths: readonly DrvPath[],
  signal: AbortSignal,
): Promise<StorePath[]> => {
  const paths = new Set<StorePath>();
  for (const chunk of chunkArguments(new Set(drvPaths))) {
    const asked = await runChild({
      command: nix.programs.store,
      args: ['--query', '--requisites', '--include-outputs', ...chunk],
      env: nix.env,
      maxOutputBytes: 512 * 1024 * 1024,
      signal,
    });
    signal.throwIfAborted();
    if (asked.code !== 0 || asked.truncated) {
      throw new CacheError(
        passing(`the store does not say what was needed to build: ${asked.stderr.trim().slice(-500)}`),
      );
    }
    for (const line of asked.stdout.split('\n')) {
      if (line !== '' && !line.endsWith('.drv')) paths.add(parseStorePath(line, nix.storeDir));
    }
  }
  return [...paths];
};
