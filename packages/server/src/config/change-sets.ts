// Decides from the paths of a diff alone what a repository's change sets say of it.
import { compilePathGlob } from './path-glob.ts';
import type { ChangeSetConfig, ChangeSetKind } from './repository-config-schema.ts';

/**
 * What the paths of a diff prove. `full-rebuild` when any path matches such a set, for it is the careful answer;
 * else `docs-only` when all of them match sets of that kind; else `no-op` when all match sets of either kind; else
 * null. An empty diff proves nothing here: equal trees are the caller's to notice.
 */
export const matchesChangeSet = (
  changeSets: readonly ChangeSetConfig[],
  paths: readonly string[],
): ChangeSetKind | null => {
  const matcher = (...kinds: readonly ChangeSetKind[]) => {
    const globs = changeSets
      .filter((set) => kinds.includes(set.kind))
      .flatMap((set) => set.paths.map(compilePathGlob));
    return (path: string): boolean => globs.some((matches) => matches(path));
  };
  if (paths.length === 0) return null;
  if (paths.some(matcher('full-rebuild'))) return 'full-rebuild';
  if (paths.every(matcher('docs-only'))) return 'docs-only';
  return paths.every(matcher('docs-only', 'no-op')) ? 'no-op' : null;
};
