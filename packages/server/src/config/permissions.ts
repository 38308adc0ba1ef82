// What `permissions` of ekaci.toml let through: caches, hooks, apps and instances are held to it alike.
import { compileBranchGlob } from './branch-glob.ts';

/** As it stands in ekaci.toml. */
export interface Permissions {
  /** True: the lists hold nobody back. */
  readonly allow_all: boolean;
  /** Empty: no repository. */
  readonly allowed_repos: readonly string[];
  /** Empty: every branch, and what is on none. */
  readonly allowed_branches: readonly string[];
}

/** Where a commit is, by what its forge says: never by what somebody called a branch of theirs. */
export interface Place {
  /** `owner/repo`, without the forge's host. */
  readonly repository: string;
  /** Without `refs/heads/`; of what waits to be merged `unmergedBranch`. Null: on none. */
  readonly branch: string | null;
}

/**
 * The branch of what is on no branch yet: `pull/<number>`, whatever the branch that it comes from is called. A pattern
 * that shall let pull requests in names it.
 */
export const unmergedBranch = (name: number | string): string => `pull/${name}`;

const matchesAny = (patterns: readonly string[], name: string): boolean =>
  patterns.some((pattern) => compileBranchGlob(pattern)(name));

/** Of ASCII alone: `toLowerCase` makes a K of the Kelvin sign. */
const lowerAscii = (text: string): string => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** Forges take `Owner/Repo` and `owner/repo` for one. */
export const matchesRepository = (patterns: readonly string[], repository: string): boolean =>
  repository !== '' && matchesAny(patterns.map(lowerAscii), lowerAscii(repository));

/** Whether any branch of the repository may be. */
export const permitsRepository = (
  { allow_all: all, allowed_repos: repos }: Permissions,
  repository: string,
): boolean => all || matchesRepository(repos, repository);

/** Branches differ by case. */
export const isPermitted = (permissions: Permissions, { repository, branch }: Place): boolean => {
  const { allow_all: all, allowed_branches: branches } = permissions;
  if (all) return true;
  if (!permitsRepository(permissions, repository)) return false;
  if (branches.length === 0) return true;
  return branch !== null && branch !== '' && matchesAny(branches, branch);
};
