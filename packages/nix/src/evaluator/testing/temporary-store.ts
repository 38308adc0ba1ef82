// A Nix store of its own in a temporary folder, and trees to evaluate: nothing of the machine's store is touched.
import { chmod, lstat, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findNix, type NixInstallation } from '../../installation.ts';

export interface TemporaryStore {
  readonly nix: NixInstallation;
  readonly folder: string;
  /** Writes the files below a fresh folder's `source` and gives that directory. */
  tree(files: Readonly<Record<string, string>>): Promise<string>;
  remove(): Promise<void>;
}

/** Store paths are read-only directories: they are made writable before they can be removed. */
const makeWritable = async (path: string): Promise<void> => {
  const stat = await lstat(path);
  if (!stat.isDirectory()) return;
  await chmod(path, 0o755);
  for (const name of await readdir(path)) await makeWritable(join(path, name));
};

export const makeTemporaryStore = async (): Promise<TemporaryStore> => {
  const folder = await mkdtemp(join(tmpdir(), 'eka-ci-store-'));
  const at = (name: string): string => join(folder, name);
  await Promise.all(['store', 'var', 'log', 'conf'].map((name) => mkdir(at(name))));
  await writeFile(join(at('conf'), 'nix.conf'), 'sandbox = false\nbuild-users-group =\nsubstituters =\n');
  const nix = await findNix({
    PATH: process.env['PATH'],
    NIX_STORE_DIR: at('store'),
    NIX_STATE_DIR: at('var'),
    NIX_LOG_DIR: at('log'),
    NIX_CONF_DIR: at('conf'),
    NIX_CONFIG: '# canary-in-the-configuration',
  });
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
    remove: async () => {
      await makeWritable(folder);
      await rm(folder, { recursive: true, force: true });
    },
  };
};
