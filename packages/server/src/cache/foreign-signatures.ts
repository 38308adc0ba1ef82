// Which paths come from another cache: those that somebody has signed before us.
import type { StorePath } from '@eka-ci/core/ids';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { chunkArguments } from '@eka-ci/nix/store-queries';
import { runChild } from '@eka-ci/process';
import { CacheError } from './cache.ts';
import { complaintFault } from './push-fault.ts';
import { findNixCommand, noNixCommand } from './run-nix.ts';

/**
 * Cachix and Attic leave out what a public cache has already, by its signature.
 * @throws CacheError; the signal's reason
 */
export const signedByOthers = async (
  nix: NixInstallation,
  paths: readonly StorePath[],
  signal: AbortSignal,
): Promise<Set<StorePath>> => {
  const command = await findNixCommand(nix);
  if (command === null) throw noNixCommand();
  const signed = new Set<string>();
  for (const chunk of chunkArguments(paths)) {
    const args = ['--extra-experimental-features', 'nix-command', 'path-info', '--sigs', ...chunk];
    const asked = await runChild({ command, args, env: nix.env, signal });
    signal.throwIfAborted();
    if (asked.code !== 0) throw new CacheError(complaintFault(asked.stderr.split('\n'), 'nix path-info'));
    for (const line of asked.stdout.split('\n')) {
      // The path, and words: `ultimate`, `ca:…`, `key-name:base64` of a signature.
      const [path = '', ...words] = line.trim().split(/\s+/);
      if (words.some((word) => word.includes(':') && !word.startsWith('ca:'))) signed.add(path);
    }
  }
  return new Set(paths.filter((path) => signed.has(path)));
};
