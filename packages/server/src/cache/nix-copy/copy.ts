// Copies from the store of this server to another.
import type { StorePath } from '@eka-ci/core/ids';
import { type NixRun, runNix } from '../run-nix.ts';

export interface Copy extends NixRun {
  /** A store URL without a secret: everybody on this machine can read it. */
  readonly to: string;
}

/** With all that they refer to; what is there already is not sent. */
export const copyPaths = (
  { to, ...copy }: Copy,
  asked: { readonly paths: readonly StorePath[]; readonly signal: AbortSignal },
): Promise<readonly string[] | null> => runNix(copy, ['copy', '--no-check-sigs', '--to', to], asked);
