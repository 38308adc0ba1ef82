// A binary cache in a folder of this machine, or of one that is mounted here.
import { access, constants, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { StorePath } from '@eka-ci/core/ids';
import { errorCodeOf } from '../../lib/error-code.ts';
import type { CacheHealth, PushOutcome, PushRequest } from '../cache.ts';
import { CacheError } from '../cache.ts';
import { childEnvironment } from '../child-environment.ts';
import { checkDestination } from '../destination-check.ts';
import { closureOf } from '../local-closure.ts';
import { isNarinfoOf, narinfoName } from '../narinfo.ts';
import { withPrivateFolder } from '../private-folder.ts';
import { complaintFault, passing, refused } from '../push-fault.ts';
import { writeSigningKey } from '../signing-key.ts';
import { copyPaths } from './copy.ts';
import { createCopyCount } from './copy-count.ts';
import type { StoreDriver, StoreDriverDeps } from './store-driver.ts';
import { type StoreUrl, storeUrlText, withSettings } from './store-url.ts';

const readNarinfo = async (file: string): Promise<string> => {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = errorCodeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return '';
    const fault =
      code === 'EACCES' ? refused('read-only', `${file} may not be read`) : passing(`${file}: ${code}`);
    throw new CacheError(fault, error);
  }
};

const lookFor = async (
  folder: string,
  { storeDir, paths }: { readonly storeDir: string; readonly paths: Iterable<StorePath> },
): Promise<Set<StorePath>> => {
  const found = new Set<StorePath>();
  for (const path of paths) {
    if (isNarinfoOf(await readNarinfo(join(folder, narinfoName(path, storeDir))), path)) found.add(path);
  }
  return found;
};

/** The nearest folder above it that is there, or itself. */
const firstThatIs = async (folder: string): Promise<string> => {
  const isThere = await access(folder).then(
    () => true,
    () => false,
  );
  return isThere || folder === dirname(folder) ? folder : firstThatIs(dirname(folder));
};

/** Some versions of Nix decode them, some do not. */
const ambiguous = 'its destination has a % in its path: name a folder without';

interface FileStore extends StoreDriverDeps {
  readonly url: StoreUrl;
  readonly folder: string;
}

const judge = async ({ guard, destination, folder }: FileStore, signal: AbortSignal): Promise<void> => {
  await checkDestination(guard, destination, signal);
  if (folder.includes('%')) throw new CacheError(refused('destination', ambiguous));
};

const push = async (store: FileStore, request: PushRequest, signal: AbortSignal): Promise<PushOutcome> => {
  await judge(store, signal);
  const { nix, url, folder, credentials } = store;
  const { storeDir } = nix;
  const { values } = await credentials.load(signal);
  const closure = await closureOf(store, request.paths, signal);
  const there = await lookFor(folder, { storeDir, paths: closure.keys() });
  const missing = [...closure.keys()].filter((path) => !there.has(path));
  if (missing.length === 0) return { kind: 'pushed', sentPaths: 0, sentBytes: 0 };
  const count = createCopyCount(closure, request.onProgress);
  const complaints = await withPrivateFolder(async (work) => {
    const keyFile = await writeSigningKey(work, values);
    const to = storeUrlText(withSettings(url, keyFile === null ? {} : { 'secret-key': keyFile }));
    const copy = { nix, to, options: [], env: childEnvironment(nix, work.path), onEvent: count.take };
    return copyPaths(copy, { paths: request.paths, signal });
  });
  if (complaints !== null) return complaintFault(complaints, 'nix copy');
  const arrived = await lookFor(folder, { storeDir, paths: missing });
  const lost = missing.find((path) => !arrived.has(path));
  return lost === undefined
    ? { kind: 'pushed', ...count.sent() }
    : passing(`Nix copied everything, and ${lost} is not in ${folder}`);
};

const check = async (store: FileStore, signal: AbortSignal): Promise<CacheHealth> => {
  await judge(store, signal);
  const nearest = await firstThatIs(store.folder);
  return access(nearest, constants.W_OK).then(
    () => ({
      kind: 'well',
      about: nearest === store.folder ? 'the folder can be written' : 'the folder will be made',
    }),
    (error: unknown) => ({
      kind: 'faulty',
      why: `${nearest} cannot be written (${errorCodeOf(error)})`,
      isPassing: false,
    }),
  );
};

export const createFileDriver = (url: StoreUrl, deps: StoreDriverDeps): StoreDriver => {
  const store = { ...deps, url, folder: url.place };
  return {
    present: async (paths, signal) => {
      await judge(store, signal);
      return lookFor(store.folder, { storeDir: store.nix.storeDir, paths });
    },
    push: (request, signal) => push(store, request, signal),
    check: (signal) => check(store, signal),
  };
};
