// A private store with the derivation files of a real package set, for benchmarks: unpacked, and registered with
// Nix so that its programs speak of them.
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DrvPath } from '@eka-ci/core/ids';
import { parseDerivation } from '@eka-ci/nix/derivation';
import { readDerivationClosure } from '@eka-ci/nix/derivation-files';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { parseDrvPath } from '@eka-ci/nix/store-path';
import { type RealDerivations, unpackRealDerivations } from '@eka-ci/nix/testing/real-derivations';
import { runChild } from '@eka-ci/process';

export const storeDir = '/nix/store';

export interface RealStore {
  /** Holds `nix/store` and `nix/var`: what Nix's `--store` takes. */
  readonly root: string;
  readonly realStoreDir: string;
  /** Of all derivations. */
  readonly paths: readonly DrvPath[];
  /** Those that nothing depends on: their closure is everything. */
  readonly tops: readonly DrvPath[];
  readonly dispose: () => Promise<void>;
}

/** Of a smoke run: enough to have edges, small enough to take no time. */
const isSmall = (size: number): boolean => size >= 50 && size <= 500;

const closureOf = async (realStoreDir: string, root: DrvPath): Promise<readonly DrvPath[]> => {
  const paths: DrvPath[] = [];
  for await (const batch of readDerivationClosure({ storeDir, realStoreDir, roots: [root] })) {
    paths.push(...batch.map((read) => read.path));
    if (paths.length > 500) break;
  }
  return paths;
};

const pickSmallClosure = async (
  realStoreDir: string,
  paths: readonly DrvPath[],
): Promise<readonly DrvPath[]> => {
  for (const root of paths) {
    const closure = await closureOf(realStoreDir, root);
    if (isSmall(closure.length)) return closure;
  }
  return paths;
};

const topsOf = (realStoreDir: string, paths: readonly DrvPath[]): readonly DrvPath[] => {
  const needed = new Set<string>();
  for (const path of paths) {
    const { inputs } = parseDerivation(
      readFileSync(join(realStoreDir, path.slice(storeDir.length)), 'latin1'),
      path,
    );
    for (const input of inputs) needed.add(input.path);
  }
  return paths.filter((path) => !needed.has(path));
};

/** @param options small: only one closure of 50 to 500 derivations */
export const unpackRealStore = async (
  data: RealDerivations,
  options: { small: boolean },
): Promise<RealStore> => {
  const root = await mkdtemp(join(tmpdir(), 'eka-ci-real-store-'));
  const dispose = (): Promise<void> => rm(root, { recursive: true, force: true });
  try {
    const realStoreDir = join(root, storeDir);
    const unpacked = await unpackRealDerivations(data);
    await mkdir(join(root, 'nix'), { recursive: true });
    await rename(unpacked.folder, realStoreDir);
    const all = readdirSync(realStoreDir).map((name) => parseDrvPath(`${storeDir}/${name}`, storeDir));
    const paths = options.small ? await pickSmallClosure(realStoreDir, all) : all;
    return { root, realStoreDir, paths, tops: topsOf(realStoreDir, paths), dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
};

/** Runs one of Nix's programs over the store and gives what it printed. */
export const runNix = async (
  { env }: NixInstallation,
  {
    command,
    args,
    stdin = '',
  }: { readonly command: string; readonly args: readonly string[]; readonly stdin?: string },
): Promise<string> => {
  const result = await runChild({
    command,
    args,
    env: { ...env, NIX_CONFIG: 'experimental-features = nix-command' },
    stdin,
    maxOutputBytes: 1024 ** 3,
  });
  if (result.code === 0 && !result.truncated) return result.stdout;
  throw new Error(
    `${command} ${args.slice(0, 4).join(' ')}: status ${result.code}: ${result.stderr.slice(0, 2000)}`,
  );
};

/**
 * The registration of a valid path, in the form that `nix-store --load-db` reads. Not `--register-validity`: in a
 * store under another root it looks for the file at the path that it would have without that root (Nix 2.8).
 */
const registrationOf = (path: string, references: readonly string[]): string => {
  // Nothing that a benchmark asks reads the file's hash, size or deriver.
  const lines = [path, '0'.repeat(64), '1', '', references.length, ...references];
  return lines.map((line) => `${line}\n`).join('');
};

/** Makes the derivations known to Nix, the sources that they name as empty files: it refuses to speak of others. */
export const registerWithNix = async (nix: NixInstallation, store: RealStore): Promise<void> => {
  const sources = new Set<string>();
  const registrations = store.paths.map((path) => {
    const derivation = parseDerivation(readFileSync(join(store.root, path), 'latin1'), path);
    for (const source of derivation.sources) sources.add(source);
    return registrationOf(path, [...derivation.inputs.map((input) => input.path), ...derivation.sources]);
  });
  for (const source of sources) {
    await writeFile(join(store.root, source), '');
    registrations.push(registrationOf(source, []));
  }
  const args = ['--store', store.root, '--load-db'];
  await runNix(nix, { command: nix.programs.store, args, stdin: registrations.join('') });
};
