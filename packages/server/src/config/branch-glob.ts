// Patterns of branch names: those of paths, and `*` alone matches every name.
import { compilePathGlob } from './path-glob.ts';

/** Makes a test for whole branch names, without `refs/heads/`. */
export const compileBranchGlob = (pattern: string): ((branch: string) => boolean) =>
  pattern === '*' ? () => true : compilePathGlob(pattern);
