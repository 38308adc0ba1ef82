// What a machine needs of a derivation before it can build it, and what it makes.
import { readFile } from 'node:fs/promises';
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { type Derivation, parseDerivation } from '@eka-ci/nix/derivation';
import { parseStorePath } from '@eka-ci/nix/store-path';

/** The paths of all outputs by name; null where one is known only after it was built. */
export const outputsOf = (
  { outputs }: Pick<Derivation, 'outputs'>,
  storeDir: string,
): ReadonlyMap<string, StorePath> | null => {
  if (outputs.some(({ path }) => path === '')) return null;
  return new Map(outputs.map(({ name, path }) => [name, parseStorePath(path, storeDir)]));
};

const pathsUsed = async (
  input: { readonly path: DrvPath; readonly outputs: readonly string[] },
  storeDir: string,
): Promise<StorePath[]> => {
  const made = outputsOf(parseDerivation(await readFile(input.path, 'latin1'), input.path), storeDir);
  return input.outputs.flatMap((name) => made?.get(name) ?? []);
};

/** So many files are read at once. */
const atOnce = 32;

/** The outputs of its input derivations that it uses, whether they are valid or not. */
export const inputOutputsOf = async ({ inputs }: Derivation, storeDir: string): Promise<StorePath[]> => {
  const paths = new Set<StorePath>();
  for (let begin = 0; begin < inputs.length; begin += atOnce) {
    const some = inputs.slice(begin, begin + atOnce);
    for (const used of await Promise.all(some.map((input) => pathsUsed(input, storeDir)))) {
      for (const path of used) paths.add(path);
    }
  }
  return [...paths];
};
