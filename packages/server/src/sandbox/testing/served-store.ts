// A store with a daemon of its own, and runners beside it that are another user where we may choose one.
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { otherUser, type ServedRunners, serveRunners } from './serve-runners.ts';

export interface RunnersOfStore extends ServedRunners {
  readonly socketPath: string;
  /** Parent of the copies of trees. */
  readonly copies: string;
}

/** @param env beside what leads a program to that store */
export const serveStore = async (
  nix: NixInstallation,
  env: NodeJS.ProcessEnv = {},
): Promise<RunnersOfStore> => {
  // The store's own folder is private, as every temporary one.
  if (otherUser !== null) chmodSync(dirname(nix.confDir), 0o755);
  const makeFolder = (): string => mkdtempSync(join(tmpdir(), 'eka-ci-sandbox-'));
  // What was compiled once is not compiled by each.
  const [folder, copies, cache] = [makeFolder(), makeFolder(), makeFolder()];
  if (otherUser !== null) for (const each of [copies, cache]) chownSync(each, otherUser.uid, otherUser.gid);
  const socketPath = join(folder, 'socket');
  const served = await serveRunners({
    ...{ socketPath, copies, user: otherUser },
    env: { ...nix.env, CACHE_DIRECTORY: cache, ...env },
  });
  return {
    ...served,
    ...{ socketPath, copies },
    close: async () => {
      await served.close();
      for (const each of [folder, copies, cache]) rmSync(each, { recursive: true });
    },
  };
};
