// A control group of one run's own (cgroups(7), version 2), where the groups below ours are ours to make: it bounds what
// no look at processes can see, and ends all that is in it at once.

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startIn } from '../lib/process-stat.ts';
import { ourControlGroup, readOr } from './control-group.ts';
import type { SandboxLimits } from './sandbox.ts';

/** The machine, or what a test puts in its place. */
export interface ControlGroupHost {
  /** Of the file systems of the kernel. */
  readonly root: string;
  readonly pid: number;
  readonly isRoot: boolean;
  /** The kernel fills it with its files. */
  readonly makeGroup: (path: string) => void;
  /** Without its files; fails while a process is in it. */
  readonly removeGroup: (path: string) => void;
}

const thisMachine: ControlGroupHost = {
  root: '/',
  pid: process.pid,
  isRoot: process.getuid?.() === 0,
  makeGroup: (path) => mkdirSync(path),
  removeGroup: (path) => rmdirSync(path),
};

export interface RunGroup {
  /** What becomes the command, within the group. Where the way in is barred it becomes the command outside. */
  enter(command: readonly string[]): readonly string[];
  /** Whether somebody is, or was, in it. */
  isEntered(): boolean;
  /** Of everybody who ever was in it, waited for or not. */
  cpuSeconds(): number;
  /** Where the kernel ended something, or refused it, or is about to. To be asked again and again. */
  reached(): 'out-of-memory' | 'process-limit' | null;
  /** Ends everybody in it. */
  kill(): void;
  /** Ends everybody in it and removes it, once they have gone. It never rejects: the next run finds what is left. */
  remove(): Promise<void>;
}

export type RunGroupMade =
  | { readonly kind: 'made'; readonly group: RunGroup }
  /** In words, for an operator who would like one. */
  | { readonly kind: 'none'; readonly why: string };

/** Bubblewrap's own, outside and inside. */
const ownProcesses = 2;
/** Whose folders of memory held much has gone only when the kernel has freed all of it. */
const patienceMs = 10_000;

/** Never creates: what the kernel did not put there is a bound that it does not keep. Some files are only to be written. */
const write = (group: string, name: string, value: string): void => {
  const file = openSync(join(group, name), constants.O_WRONLY | constants.O_TRUNC);
  try {
    writeSync(file, value);
  } finally {
    closeSync(file);
  }
};

/** For what an older kernel has not, and what the others hold without. */
const tryWrite = (group: string, name: string, value: string): boolean => {
  try {
    write(group, name, value);
    return true;
  } catch {
    return false;
  }
};

const listIn = (group: string, name: string): string[] =>
  readOr(join(group, name)).split(/\s+/).filter(Boolean);

const countOf = (text: string, field: string): number =>
  Number(new RegExp(`^${field} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);

/** Of files with a name and a number in each line; 0 where it is not there. */
const countIn = (group: string, name: string, field: string): number =>
  countOf(readOr(join(group, name)), field);

const isUnit = (group: string): boolean => /\.(?:service|scope)$/.test(basename(group));

const delegate = 'Delegate=memory pids cpu in its unit gives it one';

/** Controllers without which a group bounds nothing. */
const needed = ['memory', 'pids'];

/** As the sibling of its runs: a group with groups below it may hold no process. */
const runnersOwn = 'eka-ci-runner';

/**
 * The group below which runs get theirs, or why there is none. Only systemd, and only where it delegates, puts a process
 * below a unit's own group (`DelegateSubgroup=`). Else we must be alone in our group, and move; and not be root, to whom
 * the files say nothing of what was delegated.
 */
const choosePlace = ({
  root,
  pid,
  isRoot,
}: ControlGroupHost): { parent: string; moves: boolean } | string => {
  const ours = ourControlGroup(root);
  if (ours === null) return 'there are no control groups of version 2, or not at /sys/fs/cgroup';
  const above = dirname(ours);
  const isBelow = basename(ours) === runnersOwn || (!isUnit(ours) && isUnit(above));
  const [parent, moves] = isBelow ? [above, false] : [ours, true];
  const controllers = listIn(parent, 'cgroup.controllers');
  if (!needed.every((name) => controllers.includes(name)))
    return `the control group has no controllers of memory and pids: ${delegate}`;
  if (!moves) return { parent, moves };
  if (isRoot) return `for root it takes DelegateSubgroup= as well: ${delegate}`;
  if (listIn(ours, 'cgroup.procs').join() !== String(pid))
    return `others are in the runner's control group: DelegateSubgroup=server beside ${delegate}`;
  return { parent, moves };
};

const startOf = ({ root }: ControlGroupHost, pid: string): string =>
  startIn(readOr(join(root, `proc/${pid}/stat`)));

/** Ids mean something within one namespace of them. */
const namespaceOf = ({ root }: ControlGroupHost): string => {
  try {
    return /\d+/.exec(readlinkSync(join(root, 'proc/self/ns/pid')))?.[0] ?? '0';
  } catch {
    return '0';
  }
};

const prefixOf = (host: ControlGroupHost): string => `eka-ci-run-${namespaceOf(host)}-`;

const killAll = (group: string): void => {
  if (tryWrite(group, 'cgroup.kill', '1')) return;
  // Before Linux 5.14. Who is born meanwhile is found by the next one who looks.
  for (const pid of listIn(group, 'cgroup.procs').map(Number)) {
    try {
      // One that our namespace has not is 0, which would be ourselves.
      if (pid > 0) process.kill(pid, 'SIGKILL');
    } catch {
      // It has gone.
    }
  }
};

const removeAll = async ({ removeGroup }: ControlGroupHost, group: string): Promise<void> => {
  const until = performance.now() + patienceMs;
  do {
    killAll(group);
    try {
      removeGroup(group);
      return;
    } catch {
      if (readOr(join(group, 'cgroup.events')) === '') return; // Somebody else removed it.
      await sleep(5);
    }
  } while (performance.now() < until);
};

/** Of runners that were killed. */
const removeAbandoned = async (host: ControlGroupHost, parent: string): Promise<void> => {
  const prefix = prefixOf(host);
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(prefix)) continue;
    const [pid = '', start = ''] = name.slice(prefix.length).split('-');
    if (startOf(host, pid) !== start) await removeAll(host, join(parent, name));
  }
};

const moveAside = ({ makeGroup, pid }: ControlGroupHost, group: string): void => {
  const aside = join(group, runnersOwn);
  if (readOr(join(aside, 'cgroup.events')) === '') makeGroup(aside);
  write(aside, 'cgroup.procs', String(pid));
};

const letControl = (group: string): void => {
  const controlled = 'cgroup.subtree_control';
  const has = listIn(group, controlled);
  const missing = needed.filter((name) => !has.includes(name));
  if (missing.length > 0) write(group, controlled, missing.map((name) => `+${name}`).join(' '));
  // With it a run of many processes leaves its runner as much time as it takes itself.
  if (!has.includes('cpu')) tryWrite(group, controlled, '+cpu');
};

type Bounds = Pick<SandboxLimits, 'maxMemoryMib' | 'maxProcesses'>;

const mib = 1024 * 1024;

/**
 * Above the bound, for files that are kept in memory. Were there none, the kernel would read programs from the disk again
 * and again, for minutes, before it gives up: who looks at the group ends it before that. The kernel's own bound is for
 * what is too fast to be seen.
 */
const cacheMib = (maxMemoryMib: number): number => Math.max(64, Math.ceil(maxMemoryMib / 8));

const bound = (group: string, { maxMemoryMib, maxProcesses }: Bounds): void => {
  write(group, 'memory.max', String((maxMemoryMib + cacheMib(maxMemoryMib)) * mib));
  write(group, 'pids.max', String(maxProcesses + ownProcesses));
  // Not there without swap.
  tryWrite(group, 'memory.swap.max', '0');
  // Else the kernel picks one of them, and the rest goes on without it.
  tryWrite(group, 'memory.oom.group', '1');
};

/** What the kernel cannot take back: of processes, of files that are memory, and its own. */
const heldMib = (group: string): number => {
  const stat = readOr(join(group, 'memory.stat'));
  const bytes = (field: string): number => countOf(stat, field);
  const all = bytes('kernel');
  // Before Linux 5.18 its own are not summed up.
  const kernel = all > 0 ? all - bytes('slab_reclaimable') : bytes('slab_unreclaimable');
  return (bytes('anon') + bytes('shmem') + bytes('sock') + kernel) / mib;
};

const runGroup = (host: ControlGroupHost, path: string, { maxMemoryMib }: Bounds): RunGroup => ({
  enter: (command) => [
    ...['/bin/sh', '-c', '{ echo 0 >"$0"; } 2>/dev/null; exec "$@"'],
    ...[join(path, 'cgroup.procs'), ...command],
  ],
  isEntered: () =>
    countIn(path, 'cgroup.events', 'populated') > 0 || countIn(path, 'cpu.stat', 'usage_usec') > 0,
  cpuSeconds: () => countIn(path, 'cpu.stat', 'usage_usec') / 1e6,
  reached: () => {
    if (countIn(path, 'memory.events', 'oom_kill') > 0 || heldMib(path) > maxMemoryMib)
      return 'out-of-memory';
    return countIn(path, 'pids.events', 'max') > 0 ? 'process-limit' : null;
  },
  kill: () => killAll(path),
  remove: () => removeAll(host, path),
});

/** Never rejects, and changes nothing where there is to be none, but that the runner may have moved aside. */
export const makeRunGroup = async (bounds: Bounds, host = thisMachine): Promise<RunGroupMade> => {
  const place = choosePlace(host);
  if (typeof place === 'string') return { kind: 'none', why: place };
  const { parent, moves } = place;
  const owner = `${host.pid}-${startOf(host, String(host.pid))}`;
  const path = join(parent, `${prefixOf(host)}${owner}-${randomBytes(6).toString('hex')}`);
  try {
    if (moves) moveAside(host, parent);
    letControl(parent);
    await removeAbandoned(host, parent);
    host.makeGroup(path);
    bound(path, bounds);
    return { kind: 'made', group: runGroup(host, path, bounds) };
  } catch (error) {
    await removeAll(host, path);
    const why = error instanceof Error ? error.message : String(error);
    return { kind: 'none', why: `${delegate} (${why})` };
  }
};
