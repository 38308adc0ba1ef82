// Where the runner of a unit of its own listens, if there is one.
import { accessSync, constants, existsSync } from 'node:fs';

/** Of the socket unit in the NixOS module. Below /run, where only root makes files. */
const usualSocket = '/run/eka-ci-sandbox.sock';

const mayConnect = (path: string): boolean => {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false; // Not there, or of another user's server.
  }
};

/**
 * One that is named holds, and is never gone without: a sandbox that does not answer refuses. Else the usual one, where
 * we may connect to it. Null: the runner is a child of ours.
 */
export const sandboxSocketOf = (env: NodeJS.ProcessEnv): string | null => {
  const named = env['EKA_CI_SANDBOX_SOCKET'] ?? '';
  if (named !== '') return named;
  return mayConnect(usualSocket) ? usualSocket : null;
};

/** A unit's socket that is passed over, for this user may not connect. */
export const barredSocketOf = (env: NodeJS.ProcessEnv): string | null =>
  sandboxSocketOf(env) === null && existsSync(usualSocket) ? usualSocket : null;
