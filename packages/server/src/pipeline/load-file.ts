// Stage: one Nix file by its name → a job of its own, whatever the configuration says.
import type { TreeSha } from '@eka-ci/core/ids';
import { RepositoryConfigSchema } from '../config/repository-config-schema.ts';
import { GitError, type Mirror } from '../git/git.ts';
import { parseSafePath } from '../lib/safe-path.ts';
import type { CheckedOut } from './checkout.ts';
import type { Job } from './jobs.ts';
import type { JobsToJudge } from './load-jobs.ts';

/** True also for what is no plain file: a folder has a default.nix, a link leads somewhere; the evaluation finds out. */
const isThere = async (mirror: Mirror, tree: TreeSha, file: string): Promise<boolean> => {
  const parsed = parseSafePath(file);
  if (parsed.kind === 'refused' || parsed.path === '') return true;
  try {
    return (await mirror.readFile(tree, parsed.path, 1)) !== null;
  } catch (error) {
    if (error instanceof GitError && error.code === 'GIT_NOT_A_FILE') return true;
    throw error;
  }
};

/**
 * @param file from outside, as resolveJobFile takes it; where it is not there, or leads out, the job fails and says so
 * @throws GitError
 */
export const loadFile = async ({ mirror, base }: CheckedOut, file: string): Promise<JobsToJudge> => {
  const job: Job = {
    name: file,
    target: { kind: 'file', file, attrPath: [] },
    systems: null,
    allowEvalFailures: true,
  };
  const onBase = base !== null && (await isThere(mirror, base.tree, file)) ? job : null;
  return {
    jobs: [{ name: job.name, judged: job, base: onBase }],
    removedJobs: [],
    checks: [],
    judgedConfig: RepositoryConfigSchema.parse({}),
    baseConfig: null,
    warnings: [],
  };
};
