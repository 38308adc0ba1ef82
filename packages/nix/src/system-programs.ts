// What the programs of the machine itself need of a Nix store, where they are links into one, as on NixOS.
import { readdir, realpath } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { StorePath } from '@eka-ci/core/ids';
import type { NixInstallation } from './installation.ts';
import { storePathFault } from './store-path.ts';
import { createStoreQueries, type StoreQueries, StoreQueryError } from './store-queries.ts';

/** Where programs and libraries of the system are, or links to them. */
export const systemDirectories: readonly string[] = [
  '/usr',
  '/bin',
  '/sbin',
  '/lib',
  '/lib32',
  '/lib64',
  '/libx32',
];

/** By which names are looked up and certificates checked. */
export const lookupFiles: readonly string[] = [
  '/etc/resolv.conf',
  '/etc/hosts',
  '/etc/nsswitch.conf',
  '/etc/services',
  '/etc/ssl',
  '/etc/pki',
];

/** These, and what of them is elsewhere. */
export const networkFiles: readonly string[] = [
  ...lookupFiles,
  // Of NixOS, where the others are links to it. Not the whole: that is the configuration of the machine.
  '/etc/static/ssl',
  '/etc/static/pki',
];
/** Of NixOS: links to all there is to know of the machine. */
const wholeConfiguration = '/etc/static';

export interface SystemPrograms {
  /** As it was given, but a folder that is in a store is named there: links on the way to it are not there for who is confined. */
  readonly searchPath: string;
  /** What they need, all of it; empty where none of them is in a store. */
  readonly storePaths: readonly StorePath[];
}

export interface System {
  /** Of these folders and of the system's own, as they are now. @throws StoreQueryError, the signal's reason */
  programs(signal: AbortSignal): Promise<SystemPrograms>;
  /** What lookups of names and certificates need. @throws as `programs` */
  network(signal: AbortSignal): Promise<readonly StorePath[]>;
}

export interface SystemDeps {
  readonly nix: NixInstallation;
  /** Of the store of `nix`. */
  readonly queries: (asking: { readonly signal: AbortSignal }) => Pick<StoreQueries, 'queryClosure'>;
  /** In the form of `$PATH`. */
  readonly searchPath: string;
  /** @default those of this machine */
  readonly places?: {
    readonly directories: readonly string[];
    readonly networkFiles: readonly string[];
    readonly wholeConfiguration: string;
  };
}

/** Where the system's own programs are, whatever store the server was told to use. */
const usualStoreDir = '/nix/store';

/** The path of the store that `path` is, or is in; null where it is in no store. */
export const storePathAround = (path: string, storeDir: string): StorePath | null => {
  if (!path.startsWith(`${storeDir}/`)) return null;
  const end = path.indexOf('/', storeDir.length + 1);
  const found = end === -1 ? path : path.slice(0, end);
  return storePathFault(found, storeDir) === null ? (found as StorePath) : null;
};

/** Null: it is not there, or is not for us. */
const realPathOf = (path: string): Promise<string | null> => realpath(path).catch(() => null);

const foldersBelow = ['bin', 'sbin', 'lib', 'lib64', 'local/bin', 'local/sbin'];

/** A link itself, and those in it; `depth`: how many folders down. */
const linksIn = async (path: string, depth: number): Promise<readonly string[]> => {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  const found = await Promise.all(
    entries.map(async (entry) => {
      const inner = join(path, entry.name);
      if (entry.isSymbolicLink()) return [inner];
      return entry.isDirectory() && depth > 1 ? linksIn(inner, depth - 1) : [];
    }),
  );
  return [path, ...found.flat()];
};

/** Nix for another store than the one that the server was told to use: as it is where nobody says anything. */
const ofUsualStore = (nix: NixInstallation): NixInstallation => {
  const named = Object.entries(nix.env).filter(([name]) => !name.startsWith('NIX_') || name === 'NIX_PATH');
  return { ...nix, storeDir: usualStoreDir, env: Object.fromEntries(named) };
};

/** Certificates are links in folders of folders. */
const certificateDepth = 3;

export const createSystem = (deps: SystemDeps): System => {
  const { nix, queries, searchPath } = deps;
  const places = deps.places ?? { directories: systemDirectories, networkFiles, wholeConfiguration };
  const storeDirs = [...new Set([nix.storeDir, usualStoreDir])];
  /** By what they were asked for: the links of the system lead to the same until it is changed, and hold it as long. */
  const known = new Map<string, readonly StorePath[]>();

  const closureIn = async (
    storeDir: string,
    roots: readonly StorePath[],
    signal: AbortSignal,
  ): Promise<readonly StorePath[]> => {
    if (storeDir === nix.storeDir) return [...(await queries({ signal }).queryClosure(roots)).keys()];
    try {
      return [...(await createStoreQueries(ofUsualStore(nix), { signal }).queryClosure(roots)).keys()];
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof StoreQueryError)) throw error;
      return []; // It is not the server's own, and need not answer: what is there is not shown then.
    }
  };

  const rootsAmong = (paths: readonly (string | null)[], storeDir: string): StorePath[] =>
    [...new Set(paths.map((path) => (path === null ? null : storePathAround(path, storeDir))))]
      .filter((path) => path !== null)
      .toSorted();

  /** @param kind of question: only its newest answer is kept */
  const closureOf = async (
    kind: string,
    paths: readonly (string | null)[],
    signal: AbortSignal,
  ): Promise<readonly StorePath[]> => {
    const roots = storeDirs.map((storeDir) => ({ storeDir, paths: rootsAmong(paths, storeDir) }));
    const key = `${kind} ${roots.flatMap((each) => each.paths).join(' ')}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const closures = roots
      .filter((each) => each.paths.length > 0)
      .map((each) => closureIn(each.storeDir, each.paths, signal));
    const closure = (await Promise.all(closures)).flat();
    for (const old of known.keys()) if (old.startsWith(`${kind} `)) known.delete(old);
    known.set(key, closure);
    return closure;
  };

  return {
    async programs(signal) {
      const folders = searchPath.split(delimiter).filter((folder) => folder !== '');
      const real = await Promise.all(folders.map(realPathOf));
      const written = folders.map((folder, index) => {
        const path = real[index] ?? null;
        return path !== null && storeDirs.some((dir) => storePathAround(path, dir) !== null) ? path : folder;
      });
      const { directories } = places;
      const below = directories.flatMap((path) => [path, ...foldersBelow.map((name) => join(path, name))]);
      const links = await Promise.all(below.map((path) => linksIn(path, 1)));
      const targets = await Promise.all(links.flat().map(realPathOf));
      const storePaths = await closureOf('programs', [...real, ...targets], signal);
      return { searchPath: written.join(delimiter), storePaths };
    },
    async network(signal) {
      const links = await Promise.all(places.networkFiles.map((path) => linksIn(path, certificateDepth)));
      const whole = await realPathOf(places.wholeConfiguration);
      const targets = await Promise.all(links.flat().map(realPathOf));
      const isOfWhole = (path: string | null): boolean =>
        whole !== null && path !== null && (path === whole || path.startsWith(`${whole}/`));
      // Folders of it are shown by themselves; what the links in them lead to is asked for.
      return closureOf(
        'network',
        targets.filter((path) => !isOfWhole(path)),
        signal,
      );
    },
  };
};
