// Where evaluations run: by the runner of the sandbox's own unit, or in the server's process.
import { existsSync } from 'node:fs';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { sandboxSocketOf } from './sandbox-socket.ts';

export type EvaluationPlace =
  | { readonly kind: 'runner'; readonly socketPath: string }
  /** Bubblewrap confines them there as well, but they are the server's user. */
  | { readonly kind: 'server'; readonly why: string; readonly isExpected: boolean };

/**
 * A runner is another user: it needs a daemon to write the store. Where this user writes the store itself and there is
 * no daemon, a runner could not evaluate anything.
 */
export const findEvaluationPlace = (
  env: NodeJS.ProcessEnv,
  { access, daemonSocket, stateDir }: Pick<NixInstallation, 'access' | 'daemonSocket' | 'stateDir'>,
): EvaluationPlace => {
  const socketPath = sandboxSocketOf(env);
  if (socketPath === null) {
    return { kind: 'server', why: 'there is no sandbox in a unit of its own', isExpected: true };
  }
  if (access === 'daemon' || existsSync(daemonSocket)) return { kind: 'runner', socketPath };
  const why =
    `this server writes the store itself (${stateDir}), and there is no Nix daemon at ${daemonSocket}, by which the ` +
    `sandbox at ${socketPath}, another user, could: install Nix with its daemon`;
  return { kind: 'server', why, isExpected: false };
};
