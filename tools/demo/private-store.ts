// A Nix store of the demo's own, so that it shows every build and leaves nothing in yours.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const configuration = `sandbox = false
build-users-group =
substituters =
`;

/** Makes the store in `folder`; the returned variables lead every Nix program to it. */
export const createDemoStore = async (folder: string): Promise<Record<string, string>> => {
  for (const name of ['store', 'var', 'log', 'conf']) await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, 'conf', 'nix.conf'), configuration);
  return {
    NIX_STORE_DIR: join(folder, 'store'),
    NIX_STATE_DIR: join(folder, 'var'),
    NIX_LOG_DIR: join(folder, 'log'),
    NIX_CONF_DIR: join(folder, 'conf'),
    NIX_USER_CONF_FILES: '/dev/null',
    NIX_REMOTE: 'local',
  };
};
