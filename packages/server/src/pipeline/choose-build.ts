// How much is built of a base branch: the server decides, and the repository may ask for less.
import { compileBranchGlob } from '../config/branch-glob.ts';
import type { RepositoryConfig } from '../config/repository-config.ts';
import type { BaselineBuild } from '../forge/forge.ts';

/** From least to most. */
const amounts: readonly BaselineBuild[] = ['evaluate', 'changed', 'all'];

/**
 * What the repository asks for, at most what the server allows: its configuration is written by anybody who gets a
 * change in. The first of its patterns that matches counts. Pure.
 */
export const chooseBuild = (
  allowed: BaselineBuild,
  wanted: RepositoryConfig['branches'],
  branch: string,
): BaselineBuild => {
  const asked = wanted.find(({ pattern }) => compileBranchGlob(pattern)(branch));
  if (asked === undefined) return allowed;
  return amounts.indexOf(asked.build) < amounts.indexOf(allowed) ? asked.build : allowed;
};
