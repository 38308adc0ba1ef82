// The program of a hook: where it is, and why it cannot run.
import { existsSync } from 'node:fs';
import { findProgram, isExecutable } from '@eka-ci/process';

/** Null where it can run; else continues a sentence that names the hook. */
export const programFault = (program: string, searchPath: string): string | null => {
  if (!program.includes('/')) {
    return findProgram(program, searchPath) === null
      ? `its program ${program} is in no folder of PATH, or not executable: name it by its absolute path, or install it`
      : null;
  }
  if (isExecutable(program)) return null;
  return existsSync(program)
    ? `its program ${program} is not executable for this user: chmod +x`
    : `its program ${program} does not exist`;
};
