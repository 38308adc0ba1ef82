// What bounds the runner as a whole from outside: the control group of its unit (cgroups(7), version 2).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const readOr = (path: string): string => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
};

/** Null where there is none: `max`, or nothing to read. */
const boundIn = (path: string): number | null => {
  const text = readOr(path);
  return /^\d+$/.test(text) ? Number(text) : null;
};

/** In words, an empty list where nothing is bounded. @param root of the file systems of the kernel; another one in tests */
export const describeControlGroup = (root = '/'): string[] => {
  const ours = /^0::(\/.*)$/m.exec(readOr(join(root, 'proc/self/cgroup')))?.[1];
  if (ours === undefined) return [];
  const folder = join(root, 'sys/fs/cgroup', ours);
  const memory = boundIn(join(folder, 'memory.max'));
  const tasks = boundIn(join(folder, 'pids.max'));
  const bounds = [
    ...(memory === null ? [] : [`${Math.floor(memory / 1024 / 1024)} MiB of memory`]),
    ...(tasks === null ? [] : [`${tasks} processes and threads`]),
  ];
  return bounds.length === 0 ? [] : [`${bounds.join(' and ')} for all of the unit by its control group`];
};
