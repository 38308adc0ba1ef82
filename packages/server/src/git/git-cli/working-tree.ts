// Whether a working tree holds what no commit has. Only read: git's index is left as it is, and no program that the
// repository's configuration names is run.
import { join } from 'node:path';
import type { CommitSha } from '@eka-ci/core/ids';
import type { WorkingTree } from '../git.ts';
import { openLocalRefs, userSettings } from './open-local.ts';
import type { Repository } from './repository.ts';
import { type GitContext, runGit, splitNul } from './run-git.ts';

/** Settings that take out the filters which the repository configures: git would run them to compare contents. */
const withoutFilters = async (repository: Repository): Promise<(readonly [string, string])[]> => {
  const { stdout } = await repository.runOnRefs({
    doing: 'reading which filters are configured',
    args: ['config', '-z', '--name-only', '--get-regexp', '^filter\\..*\\.(clean|process|required)$'],
    accept: [0, 1],
  });
  return splitNul(stdout).map((name) => [name, name.endsWith('.required') ? 'false' : '']);
};

/** The user's own list of files to ignore: what only it names is not "uncommitted" to them. */
const userExcludes = async (context: GitContext): Promise<string | null> => {
  const { stdout } = await runGit(context, {
    doing: 'reading which files this user ignores',
    // What is set for every call would outrank it otherwise.
    args: ['config', '--global', '--includes', '-z', '--type=path', '--get', 'core.excludesFile'],
    env: userSettings(context),
    accept: [0, 1],
  });
  const [named] = splitNul(stdout);
  if (named !== undefined && named !== '') return named;
  const { XDG_CONFIG_HOME: xdg, HOME: home } = context.env;
  if (xdg) return join(xdg, 'git/ignore');
  return home ? join(home, '.config/git/ignore') : null;
};

/** Null where there is none, as in a bare repository. */
const findRoot = async (
  context: GitContext,
  repository: Repository,
  path: string,
): Promise<string | null> => {
  const { code, stdout } = await runGit(context, {
    doing: `looking for the working tree of ${path}`,
    args: ['-C', path, 'rev-parse', '--show-toplevel'],
    // Whether this user trusts it was asked when it was opened.
    config: [['safe.directory', '*']],
    accept: [0, 128],
  });
  const root = stdout.replace(/\n$/, '');
  return code === 0 && root !== '' && repository.refsDir !== root ? root : null;
};

/** See `Git.inspectWorkingTree`. */
export const inspectWorkingTree = async (context: GitContext, path: string): Promise<WorkingTree | null> => {
  const repository = await openLocalRefs(context, path);
  const root = await findRoot(context, repository, path);
  const head = await repository.runOnRefs({
    doing: 'looking for HEAD',
    args: ['rev-parse', '--verify', '--quiet', 'HEAD^{commit}'],
    accept: [0, 1, 128],
  });
  if (root === null || head.code !== 0) return null;
  const excludes = await userExcludes(context);
  const status = ['status', '--porcelain', '-z', '--no-renames', '--ignore-submodules=all'];
  const { stdout } = await repository.runOnRefs({
    doing: `looking for what is not committed in ${root}`,
    args: [
      ...(excludes === null ? [] : ['-c', `core.excludesFile=${excludes}`]),
      `--work-tree=${root}`,
      ...status,
      '--untracked-files=normal',
    ],
    config: await withoutFilters(repository),
  });
  return { head: head.stdout.trim() as CommitSha, hasUncommitted: stdout !== '' };
};
