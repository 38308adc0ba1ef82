// Brings a folder's node_modules into step with its lock file, and knows without npm when it is in step already.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runStep } from './commands.mjs';

const stampFile = (folder) => join(folder, 'node_modules/.cache/eka-ci/setup-stamp');

const expectedStamp = (folder) => {
  const lock = createHash('sha256')
    .update(readFileSync(join(folder, 'package-lock.json')))
    .digest('hex');
  return `${lock} ${process.platform} ${process.arch}\n`;
};

const readJson = (file) => {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return {};
  }
};

const isMeantForHere = ({ os, cpu, libc }) =>
  os?.includes(process.platform) === true && cpu?.includes(process.arch) === true && libc === undefined;

/**
 * Whether npm itself has installed exactly what the lock file says, as after `npm install NAME` by hand: npm
 * writes the list it goes by, node_modules/.package-lock.json, as the last thing of an installation.
 */
const isInstalledByHand = (folder) => {
  const wanted = readJson(join(folder, 'package-lock.json')).packages ?? {};
  const present = readJson(join(folder, 'node_modules/.package-lock.json')).packages ?? {};
  if (Object.keys(present).length === 0 || Object.keys(present).some((path) => !(path in wanted)))
    return false;
  return Object.entries(wanted).every(([path, entry]) => {
    const found = present[path];
    if (path === '') return true;
    if (found === undefined) return entry.optional === true && !isMeantForHere(entry);
    return (
      found.version === entry.version && found.integrity === entry.integrity && found.link === entry.link
    );
  });
};

const writeStamp = (folder) => {
  mkdirSync(dirname(stampFile(folder)), { recursive: true });
  writeFileSync(stampFile(folder), expectedStamp(folder));
};

/** Costs milliseconds: this is all that a second run does. */
export const isInstalled = (folder) => {
  try {
    return readFileSync(stampFile(folder), 'utf8') === expectedStamp(folder);
  } catch {
    return false;
  }
};

/**
 * Installs the folder's dependencies by `npm ci`, unless they are there.
 * @param npm the command and first arguments that start npm
 * @throws SetupError with npm's own words
 */
export const installPackages = async ({ folder, title, npm, env, onStart }) => {
  if (isInstalled(folder)) return;
  if (!isInstalledByHand(folder)) {
    const [command, ...first] = npm;
    // What the tests need are development dependencies, which NODE_ENV=production would leave out.
    const args = [...first, 'ci', '--include=dev', '--loglevel=error', '--no-progress'];
    await runStep({ title, command, args, cwd: folder, env, onStart });
  }
  writeStamp(folder); // Last, and below node_modules, which `npm ci` removes first: half an installation has none.
};
