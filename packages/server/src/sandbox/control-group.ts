// What bounds the runner as a whole from outside: the control group of its unit (cgroups(7), version 2).
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Empty for what is not there, or not ours to read. */
export const readOr = (path: string): string => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
};

const top = 'sys/fs/cgroup';

/**
 * The folder of our own group. Null where there is none of version 2 at the usual place, or where what we see of them
 * does not hold ours. @param root of the file systems of the kernel; another one in tests
 */
export const ourControlGroup = (root: string): string | null => {
  const ours = /^0::(\/.*)$/m.exec(readOr(join(root, 'proc/self/cgroup')))?.[1];
  if (ours === undefined || ours.split('/').includes('..')) return null;
  const folder = join(root, top, ours);
  return existsSync(join(folder, 'cgroup.controllers')) ? folder.replace(/\/$/, '') : null;
};

const withAllAbove = (folder: string, last: string): string[] =>
  folder === last || folder === dirname(folder) ? [folder] : [folder, ...withAllAbove(dirname(folder), last)];

/** Null where nothing is bounded: `max`, or nothing to read. */
const smallestIn = (folders: readonly string[], name: string): number | null => {
  const bounds = folders.map((folder) => readOr(join(folder, name))).filter((text) => /^\d+$/.test(text));
  return bounds.length === 0 ? null : Math.min(...bounds.map(Number));
};

const ofUnit = 'for all of the unit by its control group';

/** In words, an empty list where nothing is bounded. What holds is the smallest bound of our group and those above it. */
export const describeControlGroup = (root = '/'): string[] => {
  const ours = ourControlGroup(root);
  if (ours === null) return [];
  const folders = withAllAbove(ours, join(root, top));
  const memory = smallestIn(folders, 'memory.max');
  const tasks = smallestIn(folders, 'pids.max');
  const bounds = [
    ...(memory === null ? [] : [`${Math.floor(memory / 1024 / 1024)} MiB of memory`]),
    ...(tasks === null ? [] : [`${tasks} processes and threads`]),
  ];
  return bounds.length === 0 ? [] : [`${bounds.join(' and ')} ${ofUnit}`];
};

/** In MiB, from such words among others: a runner of another user tells nothing else. Null where nothing is bounded. */
export const memoryBoundIn = (bounds: readonly string[]): number | null => {
  const words = new RegExp(`^(\\d{1,15}) MiB of memory (?:and .* )?${ofUnit}$`);
  const found = bounds.flatMap((bound) => words.exec(bound)?.[1] ?? []);
  return found.length === 0 ? null : Math.min(...found.map(Number));
};
