// What holds a run back on this machine, in words for its log.
import { existsSync } from 'node:fs';
import { describeControlGroup } from './control-group.ts';
import type { RunGroupMade } from './control-group-run.ts';

const unseen = 'sockets, inodes, System V segments';

const looked = (): string =>
  // Not every kernel lists the children of a process.
  existsSync(`/proc/self/task/${process.pid}/children`)
    ? 'memory, processor time and number of all processes together by looking every 100 ms'
    : 'nothing bounds all processes together: this kernel does not say which there are';

/** And what is not bounded: no file of /proc says how much memory the kernel holds for a process. */
const withoutGroup = (why: string): string[] => [
  looked(),
  `memory that the kernel holds for them (${unseen}) by nothing but a control group, and a run has none of its own: ${why}`,
];

const withGroup = (): string[] => [
  `memory of all processes together, with what the kernel holds for them (${unseen}), and their number by a control group of each run's own`,
  'processor time of all processes together by looking every 100 ms',
];

/** @param made for the run, while it was still there */
export const describeBounds = (made: RunGroupMade): string[] => [
  'system calls by a filter',
  'processor time, memory, files and number of each process by limits of the kernel',
  ...(made.kind === 'none'
    ? withoutGroup(made.why)
    : made.group.isEntered()
      ? withGroup()
      : withoutGroup('it was made, and the run could not enter it')),
  ...describeControlGroup(),
];
