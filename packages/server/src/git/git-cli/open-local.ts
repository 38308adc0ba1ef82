// Mirrors a repository of this machine: its objects are borrowed by alternates, its refs are asked, nothing in it is
// written.
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { GitError } from '../git.ts';
import { readFileFailure } from './git-failure.ts';
import {
  createRepository,
  initBare,
  makeFolders,
  type ObjectFormat,
  type Repository,
  replaceFile,
} from './repository.ts';
import { type GitCall, type GitContext, runGit, splitNul } from './run-git.ts';

const requireFolder = async (path: string): Promise<void> => {
  const found = await stat(path).catch((error: unknown) => readFileFailure('reading', path, error));
  if (found instanceof GitError) throw found;
  if (found instanceof Error || !(found as { isDirectory(): boolean }).isDirectory()) {
    throw new GitError(
      'GIT_NOT_A_REPOSITORY',
      `${path} is not a folder: name the folder of a git repository`,
    );
  }
};

/** With these git reads the user's own configuration. */
export const userSettings = (context: GitContext): GitCall['env'] & object => ({
  GIT_CONFIG_NOSYSTEM: undefined,
  GIT_CONFIG_GLOBAL: context.env['GIT_CONFIG_GLOBAL'],
  HOME: context.env['HOME'],
  XDG_CONFIG_HOME: context.env['XDG_CONFIG_HOME'],
});

/** The folders that this user told git to trust. */
const readSafeDirectories = async (context: GitContext): Promise<string[]> => {
  const { stdout } = await runGit(context, {
    doing: 'reading which folders git trusts',
    args: ['config', '--includes', '--get-all', '-z', 'safe.directory'],
    env: userSettings(context),
    accept: [0, 1],
  });
  return splitNul(stdout);
};

const askGitDir = async (context: GitContext, path: string, safe: readonly string[]): Promise<string> => {
  const { stdout } = await runGit(context, {
    doing: `reading the repository ${path}`,
    args: ['-C', path, 'rev-parse', '--absolute-git-dir'],
    config: safe.map((folder) => ['safe.directory', folder] as const),
  });
  return stdout.replace(/\n$/, '');
};

/** Finds the git directory of `path`, on the terms on which the user's own git would. */
const findGitDir = async (context: GitContext, path: string): Promise<string> => {
  try {
    return await askGitDir(context, path, []);
  } catch (error) {
    if (!(error instanceof GitError) || error.code !== 'GIT_UNTRUSTED_OWNER') throw error;
    const safe = await readSafeDirectories(context);
    if (safe.length === 0) throw error;
    return await askGitDir(context, path, safe);
  }
};

/** See `Git.listBranches`. */
export const listLocalBranches = async (context: GitContext, path: string): Promise<string> => {
  const start = resolve(path);
  await requireFolder(start);
  const { stdout } = await runGit(context, {
    doing: `listing the branches of ${start}`,
    gitDir: await findGitDir(context, start),
    args: ['for-each-ref', '--format=%(objectname)%09%(refname)', 'refs/heads'],
  });
  return stdout;
};

/**
 * A local repository's refs, by themselves: what is given here must not be written to, and only `runOnRefs` be called.
 * @throws GitError as of `Git.openMirror`
 */
export const openLocalRefs = async (context: GitContext, path: string): Promise<Repository> => {
  const start = resolve(path);
  await requireFolder(start);
  const gitDir = await findGitDir(context, start);
  const { stdout } = await runGit(context, {
    doing: `reading the repository ${start}`,
    gitDir,
    args: ['rev-parse', '--path-format=absolute', '--git-common-dir'],
  });
  return createRepository(context, {
    // Where the list of cut-off commits lies.
    folder: stdout.replace(/\n$/, ''),
    refsDir: gitDir,
    remoteHead: 'refs/remotes/origin/HEAD',
    borrowedShallowFile: null,
  });
};

/** As git unquotes it: C escapes, bytes in octal. */
const quoteAlternate = (path: string): string =>
  `"${[...Buffer.from(path)]
    .map((byte) =>
      byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c
        ? `\\${byte.toString(8).padStart(3, '0')}`
        : String.fromCharCode(byte),
    )
    .join('')}"`;

/** See `Git.openMirror`. */
export const openLocal = async (context: GitContext, path: string, folder: string): Promise<Repository> => {
  const start = resolve(path);
  await requireFolder(start);
  const gitDir = await findGitDir(context, start);
  const ask = async (...args: string[]): Promise<string> => {
    const answer = await runGit(context, { doing: `reading the repository ${start}`, gitDir, args });
    return answer.stdout.replace(/\n$/, '');
  };
  const format = await ask('rev-parse', '--show-object-format');
  const objects = await ask('rev-parse', '--path-format=absolute', '--git-path', 'objects');
  await initBare(context, folder, format as ObjectFormat);
  await makeFolders(join(folder, 'objects', 'info'));
  await replaceFile(join(folder, 'objects', 'info', 'alternates'), `${quoteAlternate(objects)}\n`);
  const repository = createRepository(context, {
    folder,
    refsDir: gitDir,
    remoteHead: 'refs/remotes/origin/HEAD',
    borrowedShallowFile: await ask('rev-parse', '--path-format=absolute', '--git-path', 'shallow'),
  });
  await repository.isShallow();
  return repository;
};
