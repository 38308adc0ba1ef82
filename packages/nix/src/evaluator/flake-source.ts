// Puts a flake's tree into the store before it is evaluated: Nix then knows it by its hash, which lets it evaluate purely
// (no clock, no files outside), and no worker copies it again.
import { runChild } from '@eka-ci/process';
import type { NixInstallation } from '../installation.ts';
import { formatSri, parseSha256 } from '../nix-hash.ts';
import { parseStorePath } from '../store-path.ts';
import type { EvaluationTarget } from './evaluator.ts';

export interface FlakeSource {
  /** Where Nix will say that the flake's files are. */
  readonly storePath: string;
  /** As a flake reference says it: `sha256-…=`. */
  readonly narHash: string;
}

export class FlakeSourceError extends Error {
  readonly code = 'NIX_FLAKE_NOT_STORED';
  constructor(detail: string) {
    super(
      `the flake's tree could not be put into the store: ${detail}. Check that the store is reachable and has space.`,
    );
    this.name = 'FlakeSourceError';
  }
}

const ask = async (nix: NixInstallation, args: readonly string[], signal: AbortSignal): Promise<string> => {
  const done = await runChild({ command: nix.programs.store, args, env: nix.env, signal });
  signal.throwIfAborted();
  if (done.code !== 0) throw new FlakeSourceError(done.stderr.trim().slice(-500) || `status ${done.code}`);
  return done.stdout.trim();
};

/** @throws FlakeSourceError; the signal's reason */
export const storeFlakeSource = async (
  nix: NixInstallation,
  tree: string,
  signal: AbortSignal,
): Promise<FlakeSource> => {
  const added = await ask(nix, ['--add-fixed', '--recursive', 'sha256', tree], signal);
  const storePath = parseStorePath(added, nix.storeDir);
  const hash = await ask(nix, ['--query', '--hash', storePath], signal);
  const sha256 = parseSha256(hash);
  if (sha256 === null) throw new FlakeSourceError(`nix-store gave the hash ${hash}`);
  return { storePath, narHash: formatSri(sha256) };
};

/** The reference by which Nix finds the flake without looking at anything else. */
export const flakeUrl = (
  root: string,
  target: EvaluationTarget & { kind: 'flake' },
  narHash: string,
): string => {
  const query = new URLSearchParams({ narHash });
  if (target.rev !== null) query.set('rev', target.rev);
  if (target.lastModified !== null) query.set('lastModified', String(target.lastModified));
  return `path:${root}?${query.toString()}`;
};
