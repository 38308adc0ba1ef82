// Which user a confined command is. Never root: of root's processes the kernel counts none, and whatever is root's on the
// machine would be its own, were it ever seen.
import { randomInt } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { findProgram } from '@eka-ci/process';

export interface SandboxUser {
  /** As the command sees itself. */
  readonly id: number;
  /** How bubblewrap makes it that: what a namespace of users does for everybody but root. */
  readonly bubblewrap: readonly string[];
  /** What becomes the first process, in front of it. */
  readonly becoming: readonly string[];
  /** Whose the tree must be made; null: it is already. */
  readonly treeOwner: number | null;
}

/** What everybody is who is not root. */
const mappedId = 1000;

/** Ids above those of containers and below those that programs take for negative: systemd's table has nobody there. */
const freeIds = { from: 1_879_048_192, to: 2_147_483_647 };

const mapped: SandboxUser = {
  id: mappedId,
  bubblewrap: [
    ...['--unshare-user', '--cap-drop', 'ALL'],
    ...['--uid', String(mappedId), '--gid', String(mappedId)],
  ],
  becoming: [],
  treeOwner: null,
};

/** One of its own for each run, so that bounds of a user are bounds of the run. */
const ofItsOwn = (setpriv: string): SandboxUser => {
  const id = randomInt(freeIds.from, freeIds.to);
  const needed = ['CAP_SETUID', 'CAP_SETGID'].flatMap((name) => ['--cap-add', name]);
  return {
    id,
    bubblewrap: ['--cap-drop', 'ALL', ...needed],
    becoming: [
      // With its id root loses its capabilities; no_new_privs, which bubblewrap sets, keeps it from getting any again.
      ...[setpriv, '--reuid', String(id), '--regid', String(id), '--clear-groups', '--no-new-privs', '--'],
    ],
    treeOwner: id,
  };
};

/** Null where the server is root, and there is no way to be anybody else. */
export const chooseSandboxUser = (searchPath: string, ourId = process.getuid?.()): SandboxUser | null => {
  if (ourId !== 0) return mapped;
  const setpriv = findProgram('setpriv', searchPath);
  return setpriv === null ? null : ofItsOwn(realpathSync(setpriv));
};
