// npins/sources.json and nix/sources.json of niv: what their own Nix files fetch, by which builtin, under which name.
import { z } from 'zod';
import {
  collectEntries,
  type LockEntry,
  lockedInput,
  nothing,
  parseJson,
  passOver,
  type ReadLockFile,
  shownType,
} from './locked-input.ts';

/** Nix looks for what `fetchGit` names in a cache of its own, which no two versions have in one form, not in the store. */
const withGit =
  'is fetched by builtins.fetchGit, for which nothing can be fetched beforehand: pin an archive of it, or have its repository listed in evaluation.allow_network';

const Pin = z.object({
  type: z.string(),
  url: z.string().nullish(),
  locked_url: z.string().nullish(),
  hash: z.string().nullish(),
  submodules: z.boolean().nullish(),
});

const NpinsSources = z.object({ version: z.number(), pins: z.record(z.string(), z.unknown()) });

const archives: ReadonlySet<string> = new Set(['Git', 'GitRelease', 'Channel', 'Tarball']);

const baseName = (url: string): string => url.slice(url.lastIndexOf('/') + 1);

const readPin = (storeDir: string, name: string, given: unknown): LockEntry => {
  const parsed = Pin.safeParse(given);
  if (!parsed.success) return passOver(name, 'has not the form of a pin');
  const { type, locked_url: lockedUrl, url: plainUrl, hash, submodules } = parsed.data;
  const url = lockedUrl ?? plainUrl ?? null;
  if (!archives.has(type) && type !== 'PyPi')
    return passOver(name, `is ${shownType(type)}, which is not fetched beforehand`);
  if (url === null || submodules === true) return passOver(name, withGit);
  if (hash === null || hash === undefined) return nothing;
  const found = { name, url, hash };
  return type === 'PyPi'
    ? lockedInput(storeDir, { ...found, of: 'file', storeName: baseName(url) })
    : lockedInput(storeDir, { ...found, of: 'tree', storeName: 'source' });
};

export const readNpins = (text: string, storeDir: string): ReadLockFile => {
  const parsed = NpinsSources.safeParse(parseJson(text));
  if (!parsed.success) return { kind: 'unreadable', why: 'it has not the form of the sources of npins' };
  const { pins } = parsed.data;
  return collectEntries(Object.entries(pins).map(([name, pin]) => readPin(storeDir, name, pin)));
};

const NivSource = z.object({
  type: z.string().optional(),
  url: z.string().optional(),
  sha256: z.string().optional(),
});

const NivSources = z.record(z.string(), z.unknown());

/** As niv's sources.nix makes names that a store path can have. */
const sanitize = (name: string): string => name.replace(/[^0-9A-Za-z+._?=-]+/g, '-');

const nivFiles: ReadonlySet<string> = new Set(['file', 'builtin-url']);
const nivTrees: ReadonlySet<string> = new Set(['tarball', 'builtin-tarball']);

const readNivSource = (
  storeDir: string,
  name: string,
  { given, isNamed }: { given: unknown; isNamed: boolean },
): LockEntry => {
  const parsed = NivSource.safeParse(given);
  if (!parsed.success) return passOver(name, 'has not the form of a source of niv');
  const { type = 'tarball', url, sha256: hash } = parsed.data;
  if (type === 'git') return passOver(name, withGit);
  // A folder, or what nothing locks.
  if (type === 'local' || url === undefined || hash === undefined) return nothing;
  const isFile = nivFiles.has(type);
  if (!isFile && !nivTrees.has(type))
    return passOver(name, `is ${shownType(type)}, which is not fetched beforehand`);
  const byDefault = isFile ? baseName(url) : 'source';
  const storeName = isNamed ? `${sanitize(name)}-src` : byDefault;
  return lockedInput(storeDir, { name, url, of: isFile ? 'file' : 'tree', storeName, hash });
};

/** @param sourcesNix niv's own `nix/sources.nix`: older ones give what they fetch no name; null where it is not there */
export const readNiv = (text: string, sourcesNix: string | null, storeDir: string): ReadLockFile => {
  const parsed = NivSources.safeParse(parseJson(text));
  if (!parsed.success) return { kind: 'unreadable', why: 'it has not the form of the sources of niv' };
  const isNamed = sourcesNix?.includes('"-src"') ?? false;
  return collectEntries(
    Object.entries(parsed.data).map(([name, given]) => readNivSource(storeDir, name, { given, isNamed })),
  );
};
