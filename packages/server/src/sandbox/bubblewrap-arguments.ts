// What a confined command sees of the machine: bubblewrap's arguments, from the root directory up.
import { networkFiles, systemDirectories } from '@eka-ci/nix/system-programs';
import { showAsIs, showTarget } from '@eka-ci/process';
import type { SandboxUser } from './sandbox-user.ts';
import type { Shown } from './store-view.ts';

/** Where every tree is inside, so that what comes of it does not depend on where its copy is. */
const treeInside = '/build/source';
export const homeInside = '/build/home';

export interface ConfinedPlace {
  /** The copy of the tree, which the command may change. */
  readonly tree: string;
  readonly user: SandboxUser;
  /** Files that stand for the machine's own list of users. */
  readonly passwd: string;
  readonly group: string;
  /** Of the store. */
  readonly shown: readonly Shown[];
  readonly allowNetwork: boolean;
  readonly maxMemoryMib: number;
}

const bytesIn = (mib: number): string => String(Math.max(1, Math.floor(mib)) * 1024 * 1024);

/** Memory that is a folder, and its part of what the command may have. */
const memoryParts: Readonly<Record<string, number>> = {
  '/tmp': 1 / 2,
  [homeInside]: 1 / 4,
  '/dev/shm': 1 / 8,
};
export const memoryFolders: readonly string[] = Object.keys(memoryParts);

const showMemoryFolders = (maxMemoryMib: number): string[] =>
  Object.entries(memoryParts).flatMap(([path, part]) => {
    const size = bytesIn(maxMemoryMib * part);
    return ['--perms', '1777', '--size', size, '--tmpfs', path];
  });

/** What bubblewrap makes on the way to a place is closed to others, and root's command is another user. */
const openWays = (places: readonly string[]): string[] => {
  const ways = places.flatMap((place) => {
    const names = place.split('/').slice(1, -1);
    return names.map((_, index) => `/${names.slice(0, index + 1).join('/')}`);
  });
  const missing = [...new Set(ways)].filter((path) => !memoryFolders.includes(path));
  return missing.flatMap((path) => ['--perms', '0755', '--dir', path]);
};

const namespaces = ['pid', 'ipc', 'uts', 'cgroup-try'].map((name) => `--unshare-${name}`);

/** The arguments of bwrap before the command. */
export const bubblewrapArguments = (place: ConfinedPlace): string[] =>
  [
    namespaces,
    place.allowNetwork ? [] : ['--unshare-net'],
    ['--die-with-parent', '--new-session', '--clearenv', '--hostname', 'sandbox'],
    place.user.bubblewrap,
    systemDirectories.flatMap(showAsIs),
    ['--proc', '/proc', '--dev', '/dev'],
    showMemoryFolders(place.maxMemoryMib),
    openWays(['/etc/passwd', treeInside, ...place.shown.map(({ at }) => at)]),
    // Each at once with all that is mounted in it: bubblewrap looks through all mounts for every single one.
    place.shown.flatMap(({ from, at }) => ['--ro-bind', from, at]),
    ['--ro-bind', place.passwd, '/etc/passwd', '--ro-bind', place.group, '/etc/group'],
    place.allowNetwork ? networkFiles.flatMap(showTarget) : [],
    ['--bind', place.tree, treeInside, '--chdir', treeInside],
    // Much of what is in /proc asks for a user's id alone.
    ['--remount-ro', '/proc', '--remount-ro', '/dev', '--remount-ro', '/'],
  ].flat();
