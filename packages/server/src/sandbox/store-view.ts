// What a confined command sees of the Nix store: the paths that it was given, in a folder that has nothing else.
import { chmodSync, lstatSync, mkdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { StorePath } from '@eka-ci/core/ids';
import { findProgram, runChild } from '@eka-ci/process';

/** A file or a folder of ours, and where the command sees it, read-only and with all that is mounted in it. */
export interface Shown {
  readonly from: string;
  readonly at: string;
}

export interface StoreView {
  readonly shown: readonly Shown[];
  /** What may pass until a command begins there. */
  readonly patienceMs: number;
  /** What has done all that bubblewrap cannot, and becomes that command. */
  readonly enter: (command: readonly string[]) => readonly string[];
}

export type StoreViewMade =
  | { readonly kind: 'made'; readonly view: StoreView }
  | { readonly kind: 'refused'; readonly why: string };

export interface StoreViewAsked {
  readonly storePaths: readonly StorePath[];
  /** For places to mount at. It is not there yet, and nothing in it is worth anything afterwards. */
  readonly folder: string;
  /** Where unshare and mount are looked for. */
  readonly searchPath: string;
}

/** For each that bubblewrap mounts it looks through all mounts: 100 are 10 ms, 2,000 are several seconds. */
const fewMounts = 100;
/** Of bubblewrap, which takes 9,000 words, of which a mount is three. */
const mostMounts = 2900;
/** A minute, and for each mount what the slower way took on a machine that had ten times as much to do as it could. */
const patienceFor = (mounts: number): number => 60_000 + mounts * 50;

/** Readers of the file take what is neither a space nor a backslash as it is (fstab(5)). */
const inTable = (path: string): string =>
  path.replace(/[\s\\#]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`);

const usualStoreDir = '/nix/store';

/** Where each is to be mounted; a link is made again, for a mount would follow it to wherever on the machine it leads. */
const makePlaces = (
  paths: ReadonlySet<StorePath>,
  folderOf: (path: StorePath) => string,
): Shown[] | string => {
  const mounts: Shown[] = [];
  for (const path of paths) {
    const place = join(folderOf(path), basename(path));
    const file = lstatSync(path, { throwIfNoEntry: false });
    if (file?.isSymbolicLink() === true) {
      symlinkSync(readlinkSync(path, { encoding: 'buffer' }), place);
      continue;
    }
    if (file?.isDirectory() === true) mkdirSync(place);
    else if (file?.isFile() === true) writeFileSync(place, '');
    else return `${path} is not in the store any more; was it garbage-collected meanwhile? Run it again`;
    mounts.push({ from: path, at: place });
  }
  return mounts;
};

const isRoot = (): boolean => process.getuid?.() === 0;

/** What runs a command with mounts of its own, as who may mount. */
const mountingWith = (unshare: string): readonly [string, ...string[]] => [
  unshare,
  '--mount',
  ...(isRoot() ? [] : ['--user', '--map-root-user']),
  '--',
];

type MountsBefore = Pick<StoreView, 'enter'> | { readonly why: string };

/** All of a table by one process, which looks at none but its own: no mtab, no names written out, no programs asked. */
const mountAll = ['-a', '-n', '-c', '-i', '-T'];
const mountAndBecome = `mount=$0; "$mount" ${mountAll.join(' ')} "$1" && shift && exec "$@"`;

const writeTable = (table: string, mounts: readonly Shown[]): string => {
  const lines = mounts.map(({ from, at }) => `${inTable(from)} ${inTable(at)} none bind 0 0\n`);
  writeFileSync(table, lines.join(''));
  return table;
};

/** Null where it can. Some systems let bubblewrap make namespaces, and nobody else; and not every mount is that of util-linux. */
const tryMounting = async (mounting: readonly [string, ...string[]], mount: string, folder: string) => {
  const table = writeTable(join(folder, 'trial'), [{ from: folder, at: folder }]);
  const [command, ...args] = [...mounting, mount, ...mountAll, table] as const;
  const tried = await runChild({ command, args, env: {}, timeoutMs: 10_000 });
  return tried.code === 0 ? null : tried.stderr.trim().slice(0, 500) || `status ${tried.code}`;
};

const mountBefore = async (
  mounts: readonly Shown[],
  { folder, searchPath }: StoreViewAsked,
): Promise<MountsBefore> => {
  const unshare = findProgram('unshare', searchPath);
  const mount = findProgram('mount', searchPath);
  if (unshare === null || mount === null) return { why: 'they are not installed' };
  const mounting = mountingWith(unshare);
  const why = await tryMounting(mounting, mount, folder);
  if (why !== null) return { why };
  const table = writeTable(join(folder, 'table'), mounts);
  return { enter: (command) => [...mounting, '/bin/sh', '-c', mountAndBecome, mount, table, ...command] };
};

const refused = (why: string): StoreViewMade => ({ kind: 'refused', why });

/** Where none is shown the store is there all the same, and empty. */
export const makeStoreView = async (asked: StoreViewAsked): Promise<StoreViewMade> => {
  const paths = new Set(asked.storePaths);
  const stores = new Set([usualStoreDir, ...[...paths].map((path) => dirname(path))]);
  const folders = new Map([...stores].map((store, index) => [store, join(asked.folder, String(index))]));
  mkdirSync(asked.folder);
  for (const folder of folders.values()) {
    mkdirSync(folder);
    // Whatever the umask is: root's command is another user.
    chmodSync(folder, 0o755);
  }
  const mounts = makePlaces(paths, (path) => folders.get(dirname(path)) ?? asked.folder);
  if (typeof mounts === 'string') return refused(mounts);
  const whole = [...folders].map(([at, from]) => ({ from, at }));
  const patienceMs = patienceFor(mounts.length);
  if (mounts.length > fewMounts) {
    const before = await mountBefore(mounts, asked);
    if ('enter' in before) return { kind: 'made', view: { shown: whole, patienceMs, enter: before.enter } };
    if (mounts.length > mostMounts) {
      return refused(
        `its environment needs ${mounts.length} paths of the store: more than ${mostMounts} can be shown only with ` +
          `unshare and mount (util-linux) of a user who may make namespaces, and here ${before.why}`,
      );
    }
  }
  const single = mounts.map(({ from }) => ({ from, at: from }));
  return { kind: 'made', view: { shown: [...whole, ...single], patienceMs, enter: (command) => command } };
};
