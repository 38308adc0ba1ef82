// What the processes of a sandbox use together: memory, processor time, how many they are. Read from /proc.

import { readFileSync, statfsSync } from 'node:fs';
import { processesBelow } from '@eka-ci/process';
import { fieldOf } from '../lib/process-stat.ts';

export interface ProcessUse {
  readonly processes: number;
  /** Memory of their own and shared among them, and what lies in the sandbox's folders of memory. */
  readonly memoryMib: number;
  /** Of those that run, of those that somebody has waited for, and of those that were seen before they ended. */
  readonly cpuSeconds: number;
}

const mib = 1024 * 1024;
/** USER_HZ of proc(5): 100 on every architecture that we have a table for. */
const ticksPerSecond = 100;

const readOr = (path: string): string => {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // It has gone, or this is none of our business.
  }
};

/**
 * Not one that has ended and waits for its parent to ask how: the first process of a sandbox gets so far only when all others
 * in it have gone, and who inherits it may be slow to ask, or never does (the first process of a container).
 */
export const isAlive = (pid: number): boolean => {
  const state = fieldOf(readOr(`/proc/${pid}/stat`))(3);
  return state !== '' && state !== 'Z' && state !== 'X';
};

/** Of a sandbox that may have so many: enough to see that it has more. */
export const mostProcesses = (maxProcesses: number): number => maxProcesses * 2 + 16;

const kibOf = (text: string, field: string): number =>
  Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);

/** Files that are mapped are not counted: the kernel takes their memory back. */
const memoryKib = (pid: number): number => {
  const status = readOr(`/proc/${pid}/status`);
  return kibOf(status, 'RssAnon') + kibOf(status, 'RssShmem');
};

/** What is shared counts once. Dear to ask for: only where the cheap count is over the bound. */
const exactMemoryKib = (pid: number): number => {
  const rollup = readOr(`/proc/${pid}/smaps_rollup`);
  return rollup === '' ? memoryKib(pid) : kibOf(rollup, 'Pss_Anon') + kibOf(rollup, 'Pss_Shmem');
};

const threadsOf = (pid: number): number =>
  Number(/^Threads:\s+(\d+)/m.exec(readOr(`/proc/${pid}/status`))?.[1] ?? 0);

interface Ticks {
  /** Ids are given again; with the time of its start, one is a process's own. */
  readonly process: string;
  readonly own: number;
  /** Of children that it, and they, have waited for. */
  readonly waitedFor: number;
}

const ticksOf = (pid: number): Ticks => {
  const stat = fieldOf(readOr(`/proc/${pid}/stat`));
  const field = (number: number): number => Number(stat(number));
  return {
    process: `${pid} ${field(22)}`,
    own: field(14) + field(15),
    waitedFor: field(16) + field(17),
  };
};

/**
 * Never falls. What those used who are there, with what they waited for, misses who ended while SIGCHLD was ignored;
 * what everybody used who was ever seen misses who was too short. Neither is too much, so the larger one is said: at
 * least half of what both miss together. Whoever ends unseen and unwaited for is in neither.
 */
const createTickCount = () => {
  /** No more than there were ticks: who has used none is left out. */
  const seen = new Map<string, number>();
  let seenTicks = 0;
  let most = 0;
  return (pids: readonly number[]): number => {
    let present = 0;
    for (const { process, own, waitedFor } of pids.map(ticksOf)) {
      present += own + waitedFor;
      const last = seen.get(process) ?? 0;
      if (own <= last) continue;
      seen.set(process, own);
      seenTicks += own - last;
    }
    most = Math.max(most, present, seenTicks);
    return most;
  };
};

const sum = (pids: readonly number[], of: (pid: number) => number): number =>
  pids.reduce((total, pid) => total + of(pid), 0);

/** Of folders in memory, as the sandbox's first process has them; 0 where the kernel does not show them to us. */
const foldersMib = (init: number, folders: readonly string[]): number =>
  folders.reduce((total, folder) => {
    try {
      const { blocks, bfree, bsize } = statfsSync(`/proc/${init}/root${folder}`);
      return total + ((blocks - bfree) * bsize) / mib;
    } catch {
      return total;
    }
  }, 0);

export interface WatchedSandbox {
  /** bwrap's own id: everything of the sandbox is below it, for who loses a parent gets the sandbox's first process. */
  readonly pid: number;
  readonly memoryFolders: readonly string[];
  readonly maxMemoryMib: number;
  readonly maxProcesses: number;
}

/** Each call is a look at the sandbox, and keeps what the next one needs of it. */
export const watchProcesses = ({ pid, memoryFolders, maxMemoryMib, maxProcesses }: WatchedSandbox) => {
  const countTicks = createTickCount();
  return (): ProcessUse => {
    const pids = processesBelow(pid, mostProcesses(maxProcesses));
    const [init] = pids;
    const folders = init === undefined ? 0 : foldersMib(init, memoryFolders);
    const cheap = sum(pids, memoryKib) / 1024 + folders;
    const memoryMib = cheap > maxMemoryMib ? sum(pids, exactMemoryKib) / 1024 + folders : cheap;
    return { processes: sum(pids, threadsOf), memoryMib, cpuSeconds: countTicks(pids) / ticksPerSecond };
  };
};
