// How the project's own scripts start programs: in the root of a tree, with the environment of the verb.
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type RunResult, runChild } from '@eka-ci/process';

export const repositoryRoot = dirname(dirname(fileURLToPath(import.meta.url)));

/** The caller's environment as children take it, with this Node and the tools of `root` before all others. */
export const programEnv = (root: string): Record<string, string> => {
  const inherited = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  const folders = [dirname(process.execPath), join(root, 'node_modules/.bin'), process.env['PATH'] ?? ''];
  return { ...Object.fromEntries(inherited), PATH: folders.join(delimiter) };
};

/** Runs a program of node_modules/.bin or of the system in `root` and gives what it printed, without colours. */
export const runProgram = (root: string, command: string, args: readonly string[]): Promise<RunResult> =>
  runChild({ command, args, cwd: root, env: { ...programEnv(root), NO_COLOR: '1', FORCE_COLOR: '0' } });
