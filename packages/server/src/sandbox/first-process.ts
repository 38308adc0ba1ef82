// The first process inside: it bounds itself, says that it is there, and becomes the command.
import { homeInside } from './bubblewrap-arguments.ts';
import type { SandboxedRun } from './sandbox.ts';

export type FirstProcess = Pick<SandboxedRun, 'command' | 'env' | 'limits'>;

/**
 * Each bound is read again after it was set: a machine's own lower one cannot be raised, and is as good. Shells call the
 * number of processes `u` or `p`. Nothing of the command's environment is there yet, so that nothing in it, such as
 * LD_PRELOAD, can be in the way.
 */
const script = `
exec 2>&1 </dev/null
bound() {
  ulimit "-$1" "$2" 2>/dev/null
  got=$(ulimit "-$1" 2>/dev/null) && [ "$got" != unlimited ] && [ "$got" -le "$2" ]
}
bound c 0 && bound t "$2" && bound d "$3" && bound f "$4" && bound n 1024 && { bound u "$5" || bound p "$5"; } || {
  echo "the shell cannot set the limits of a process"
  exit 1
}
printf %s "$1"
shift 5
exec /usr/bin/env -i "$@"
`;

/** What one file may grow to: the rest is for the watch on the whole tree. */
const maxFileMib = 4096;

/** For one process: the watch on all of them sees it first, and says what it was. */
const cpuGraceSeconds = 2;

/** Name and value in one word each. What no environment can hold is left out. */
export const environmentInside = (env: Readonly<Record<string, string>>): string[] => {
  // Names of exported shell functions hold more than letters. A leading dash would be an option of env.
  const entries = Object.entries(env).filter(
    ([name, value]) => /^[^-=\0][^=\0]*$/.test(name) && !value.includes('\0'),
  );
  const own = { HOME: homeInside, TMPDIR: '/tmp', TMP: '/tmp', TEMP: '/tmp', TEMPDIR: '/tmp', USER: 'check' };
  return Object.entries({ ...Object.fromEntries(entries), ...own }).map(
    ([name, value]) => `${name}=${value}`,
  );
};

/** @param mark printed when nothing but the command is left to do: what comes after it is the command's own */
export const firstProcess = ({ command, env, limits }: FirstProcess, mark: string): string[] => [
  ...['/bin/sh', '-c', script, 'sh', mark],
  String(limits.maxCpuSeconds + cpuGraceSeconds),
  String(limits.maxMemoryMib * 1024),
  String(maxFileMib * 2048),
  String(limits.maxProcesses),
  ...environmentInside(env),
  ...command,
];
