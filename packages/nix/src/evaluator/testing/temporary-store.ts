// A private store, and trees to evaluate in it.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { NixInstallation } from '../../installation.ts';
import { createPrivateStore, type PrivateStoreOptions } from '../../testing/private-store.ts';

export interface TemporaryStore {
  readonly nix: NixInstallation;
  readonly folder: string;
  /** Writes the files below a fresh folder's `source` and gives that directory. */
  tree(files: Readonly<Record<string, string>>): Promise<string>;
  remove(): Promise<void>;
}

export const makeTemporaryStore = async (options: PrivateStoreOptions = {}): Promise<TemporaryStore> => {
  const store = await createPrivateStore(options);
  const { folder } = store;
  const nix = { ...store.nix, env: { ...store.nix.env, NIX_CONFIG: '# canary-in-the-configuration' } };
  let trees = 0;
  return {
    nix,
    folder,
    tree: async (files) => {
      trees += 1;
      const tree = join(folder, `tree-${trees}`, 'source');
      await mkdir(tree, { recursive: true });
      for (const [name, text] of Object.entries(files)) {
        await mkdir(dirname(join(tree, name)), { recursive: true });
        await writeFile(join(tree, name), text);
      }
      return tree;
    },
    remove: () => store.remove(),
  };
};
