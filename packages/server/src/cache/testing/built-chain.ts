// Small things that are built for a test: each refers to the one before, so that a push has something to take along.
import { randomBytes } from 'node:crypto';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { parseStorePath } from '@eka-ci/nix/store-path';
import type { PrivateStore } from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';

export interface BuiltChain {
  readonly drv: DrvPath;
  /** Refers to all others. */
  readonly root: StorePath;
  /** The lowest first; the root is the last. */
  readonly paths: readonly StorePath[];
}

export const runStore = async ({ nix }: PrivateStore, args: readonly string[]): Promise<string> => {
  const ran = await runChild({ command: nix.programs.store, args, env: nix.env });
  if (ran.code !== 0) throw new Error(ran.stderr);
  return ran.stdout.trim();
};

const rank = (path: string): number => ['-low-', '-mid-', '-top-'].findIndex((part) => path.includes(part));

/** Three of them, of names that nobody had before. @param bytes of the lowest one */
export const buildChain = async (store: PrivateStore, bytes = 1000): Promise<BuiltChain> => {
  const name = randomBytes(4).toString('hex');
  const drvs = await store.instantiate(`rec {
    low = shell "low-${name}" "head -c ${bytes} /dev/urandom > $out" {};
    mid = shell "mid-${name}" "mkdir $out; echo $low > $out/low" { inherit low; };
    top = shell "top-${name}" "echo $mid > $out" { inherit mid; };
  }`);
  await runStore(store, ['--realise', drvs['top'] ?? '']);
  // References come first.
  const told = await runStore(store, ['--query', '--requisites', '--include-outputs', drvs['top'] ?? '']);
  const paths = told
    .split('\n')
    .filter((line) => !line.endsWith('.drv'))
    .map((line) => parseStorePath(line, store.nix.storeDir))
    .sort((one, other) => rank(one) - rank(other));
  const [root, drv] = [paths.at(-1), drvs['top']];
  if (root === undefined || drv === undefined) throw new Error('nothing was built');
  return { drv, root, paths };
};

/** Takes them out of the store, whoever refers to them. */
export const dropPaths = async (store: PrivateStore, paths: readonly StorePath[]): Promise<void> => {
  await runStore(store, ['--delete', '--ignore-liveness', ...paths]);
};

/** As a chain, of files that nobody needs to build: much quicker, and needing no signature anywhere. */
export const writeChain = async ({
  nix,
}: PrivateStore): Promise<{ readonly paths: readonly StorePath[] }> => {
  const name = randomBytes(4).toString('hex');
  const expression = `let
    low = builtins.toFile "low-${name}" "low";
    mid = builtins.toFile "mid-${name}" "\${low}";
    top = builtins.toFile "top-${name}" "\${mid}";
  in [ low mid top ]`;
  const args = ['--eval', '--strict', '--json', '--read-write-mode', '--expr', expression];
  const ran = await runChild({ command: nix.programs.instantiate, args, env: nix.env });
  if (ran.code !== 0) throw new Error(ran.stderr);
  return { paths: (JSON.parse(ran.stdout) as string[]).map((path) => parseStorePath(path, nix.storeDir)) };
};
