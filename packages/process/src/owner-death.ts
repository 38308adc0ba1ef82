// Lets the kernel tell a child that its owner is gone (PR_SET_PDEATHSIG of prctl(2)): after `kill -9` nobody else can.
// Node cannot ask for that itself; setpriv of util-linux can, and then becomes the program. Busybox's cannot.
import { spawnSync } from 'node:child_process';
import { findProgram, isExecutable } from './find-program.ts';

export interface Command {
  /** A program's path, or a name that is looked up in `env.PATH`. */
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

let found: string | null | undefined;

/** Null where there is none that can. Looked for once. */
const findSetpriv = (): string | null => {
  if (found !== undefined) return found;
  const program = findProgram('setpriv');
  const tried =
    program === null ? null : spawnSync(program, ['--pdeathsig', 'TERM', '--', program, '--version']);
  found = tried?.status === 0 ? program : null;
  return found;
};

/**
 * The command that does the same, and gets `signal` when the thread that started it is gone; itself where the machine
 * has no way to do that. A program that cannot be started is left as it is, to say so by itself.
 */
export const withOwnerDeath = (
  { command, args, env }: Command,
  signal: NodeJS.Signals,
): readonly [command: string, args: readonly string[]] => {
  const setpriv = findSetpriv();
  const program = command.includes('/') ? command : findProgram(command, env['PATH'] ?? '');
  if (setpriv === null || program === null || !isExecutable(program)) return [command, args];
  return [setpriv, ['--pdeathsig', signal.replace(/^SIG/, ''), '--', program, ...args]];
};
