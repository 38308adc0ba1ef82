// What can be seen of a process's children by whoever may look.
import { readdirSync, readFileSync } from 'node:fs';

export interface SeenChild {
  readonly pid: number;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const read = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

const parentOf = (pid: string): number => {
  const stat = read(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
};

/** Those that run now. */
export const childrenOf = (parent: number): SeenChild[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && parentOf(name) === parent)
    .map((pid) => ({
      pid: Number(pid),
      args: read(`/proc/${pid}/cmdline`).split('\0').slice(0, -1),
      env: Object.fromEntries(
        read(`/proc/${pid}/environ`)
          .split('\0')
          .filter((line) => line.includes('='))
          .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
      ),
    }));
