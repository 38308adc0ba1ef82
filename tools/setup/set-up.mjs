// Sets up what a verb needs from a bare clone: Node, npm packages, system programs. Does nothing when all is there.
import { delimiter, join } from 'node:path';
import { findProgram, SetupError } from './commands.mjs';
import { findNode, installNode, settingsForNpm } from './node.mjs';
import { installPackages, isInstalled } from './npm-install.mjs';
import { withSetupLock } from './setup-lock.mjs';
import { findPrograms, installOptional, installPrograms } from './system-programs.mjs';

/** The scripts of npm packages start with `env node`: the fitting Node has to be found before the machine's own. */
const withPath = (env, folders) => ({ ...env, PATH: [...folders, env.PATH ?? ''].join(delimiter) });

const prepareScript = (root, env, { node, folders }) => ({
  node: join(node.bin, 'node'),
  env: withPath(env, [node.bin, join(root, 'node_modules/.bin'), ...folders]),
});

/**
 * Gives the Node to start a verb's script with, and its environment.
 * @param programs names of system programs that have to be on PATH
 * @param optional names of those that it can do without
 * @throws SetupError where something is missing and cannot be got without asking
 */
export const setUp = async ({ root, programs, optional = [], env }) => {
  const found = findPrograms(root, [...programs, ...optional], env);
  const node = findNode(root);
  if (node !== null && isInstalled(root) && found.missing.length === 0) {
    return prepareScript(root, env, { node, folders: found.folders });
  }
  return withSetupLock(join(root, '.setup', 'lock'), (onStart) =>
    installMissing({ root, programs, optional, env, onStart }),
  );
};

const installMissing = async ({ root, programs, optional, env, onStart }) => {
  const { missing } = findPrograms(root, programs, env);
  if (missing.length > 0) await installPrograms(root, missing, { env, onStart });
  const { missing: stillMissing } = findPrograms(root, programs, env);
  if (stillMissing.length > 0)
    throw new SetupError(`setup: not found after installing: ${stillMissing.join(', ')}`);
  const { missing: without } = findPrograms(root, optional, env);
  if (without.length > 0) await installOptional(root, without, { env, onStart });
  if (!isInstalled(root) && findProgram('npm', env.PATH) === null) {
    throw new SetupError(
      'setup: npm is missing. NixOS: nix-shell -p nodejs_24; Debian, Ubuntu: apt-get install npm; macOS: brew install node.',
    );
  }
  const node = findNode(root) ?? (await installNode(root, { env, onStart }));
  const npmEnv = { ...withPath(env, [node.bin]), ...(node.npm.length > 1 ? settingsForNpm(env) : {}) };
  await installPackages({
    folder: root,
    title: 'installing npm packages',
    npm: node.npm,
    env: npmEnv,
    onStart,
  });
  const { folders } = findPrograms(root, [...programs, ...optional], env);
  return prepareScript(root, env, { node, folders });
};
