// The programs that come from the system: which are missing, how to get them here, and getting them where that
// can be done without asking (Debian and Ubuntu as root; anywhere with Nix and a nixpkgs).
import { readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { findProgram, runStep, SetupError } from './commands.mjs';

const packageOf = {
  git: { debian: 'git', nixpkgs: 'git', elsewhere: 'xcode-select --install' },
  'nix-instantiate': { debian: 'nix-bin', nixpkgs: 'nix', elsewhere: 'the installer of nixos.org' },
  'nix-store': { debian: 'nix-bin', nixpkgs: 'nix', elsewhere: 'the installer of nixos.org' },
  bwrap: {
    debian: 'bubblewrap',
    nixpkgs: 'bubblewrap',
    elsewhere: 'Linux only: use a virtual machine or container',
  },
  xz: { debian: 'xz-utils', nixpkgs: 'xz', elsewhere: 'brew install xz' },
  nginx: { debian: 'nginx', nixpkgs: 'nginx', elsewhere: 'brew install nginx' },
  sshd: { debian: 'openssh-server', nixpkgs: 'openssh', elsewhere: 'it is part of the system' },
};

/** Debian keeps daemons beside the folders where users look. */
const withDaemons = (searchPath = '') =>
  `${searchPath}${delimiter}${searchPath.replaceAll(/\/bin(?=:|$)/g, '/sbin')}`;

const readSystem = () => {
  try {
    const lines = readFileSync('/etc/os-release', 'utf8').split('\n');
    return lines.filter((line) => /^ID(_LIKE)?=/.test(line)).join(' ');
  } catch {
    return '';
  }
};

export const isNixOS = () => /\bnixos\b/.test(readSystem());

const isDebian = (searchPath) =>
  /\b(debian|ubuntu)\b/.test(readSystem()) && findProgram('apt-get', searchPath) !== null;

/** One line: how to get a program on NixOS, Debian and macOS. */
const hint = (program) => {
  const { debian, nixpkgs, elsewhere } = packageOf[program];
  return `setup: ${program} is missing. NixOS: nix-shell -p ${nixpkgs}; Debian, Ubuntu: apt-get install ${debian}; macOS: ${elsewhere}.`;
};

const installByApt = async (programs, { env, onStart }) => {
  const packages = [...new Set(programs.map((program) => packageOf[program].debian))];
  // Without a run level Debian would start every daemon that it installs.
  const aptEnv = { ...env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const quiet = { env: aptEnv, onStart, command: 'apt-get' };
  const patient = ['-qq', '-o', 'DPkg::Lock::Timeout=120'];
  await runStep({ ...quiet, title: "reading Debian's package lists", args: [...patient, 'update'] });
  const install = [...patient, 'install', '-y', '--no-install-recommends', ...packages];
  await runStep({ ...quiet, title: `installing ${packages.join(', ')}`, args: install });
};

/** Where `installFromNixpkgs` leaves a package: a link that also keeps it from garbage collection. */
const nixLink = (root, attribute) => join(root, '.setup', 'nix', attribute);

const findLinked = (root, program, attribute) => findProgram(program, join(nixLink(root, attribute), 'bin'));

/** Builds or fetches one package of the machine's nixpkgs and gives the program's folder. */
export const installFromNixpkgs = async ({ root, program, attribute, env, onStart }) => {
  if (findLinked(root, program, attribute) === null) {
    const args = ['<nixpkgs>', '-A', attribute, '--out-link', nixLink(root, attribute)];
    await runStep({ title: `getting ${attribute} from nixpkgs`, command: 'nix-build', args, env, onStart });
  }
  return join(nixLink(root, attribute), 'bin');
};

/** The programs that are neither on `env.PATH` nor linked by an earlier run, and the folders of those that are linked. */
export const findPrograms = (root, programs, env) => {
  const folders = [];
  const missing = programs.filter((program) => {
    if (findProgram(program, withDaemons(env.PATH)) !== null) return false;
    if (findLinked(root, program, packageOf[program].nixpkgs) === null) return true;
    folders.push(join(nixLink(root, packageOf[program].nixpkgs), 'bin'));
    return false;
  });
  return { missing, folders };
};

/**
 * Those that tests can do without. They are brought where nobody minds a daemon more on the machine, and else named.
 */
export const installOptional = async (root, missing, { env, onStart }) => {
  if (env.CI !== undefined && env.CI !== '') {
    try {
      await installPrograms(root, missing, { env, onStart });
      return;
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      process.stderr.write(`${error.message}\n`);
    }
  }
  process.stderr.write(`${missing.map((program) => `${hint(program)} Its tests are skipped.`).join('\n')}\n`);
};

/** @throws SetupError with a line for each program that is missing and cannot be got without asking */
export const installPrograms = async (root, missing, { env, onStart }) => {
  if (isDebian(env.PATH) && process.getuid?.() === 0) return installByApt(missing, { env, onStart });
  const hasNix = process.platform === 'linux' && findProgram('nix-build', env.PATH) !== null;
  if (!hasNix) throw new SetupError(missing.map(hint).join('\n'));
  for (const program of missing) {
    await installFromNixpkgs({ root, program, attribute: packageOf[program].nixpkgs, env, onStart }).catch(
      (error) => {
        throw new SetupError(`${error.message}\n${missing.map(hint).join('\n')}`);
      },
    );
  }
};
