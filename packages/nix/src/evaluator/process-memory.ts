// Watches how much memory a process and its descendants use, so that one evaluation cannot take the machine down.
import { readFileSync } from 'node:fs';
import { childrenOf } from '@eka-ci/process';

const residentMib = (pid: number): number => {
  try {
    const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return Number(kib ?? 0) / 1024;
  } catch {
    return 0; // It has gone.
  }
};

/** Resident memory of the process and all its descendants in MiB; 0 where there is no `/proc` to ask. */
const treeMemoryMib = (pid: number): number =>
  childrenOf(pid).reduce((sum, child) => sum + treeMemoryMib(child), residentMib(pid));

/** Resident memory of the largest of them in MiB. */
export const largestProcessMib = (pid: number): number =>
  Math.max(residentMib(pid), ...childrenOf(pid).map(largestProcessMib));

export interface MemoryWatch {
  /** The latest sample in MiB, at most 25 ms old. */
  current(): number;
  peak(): number;
  stop(): void;
}

const sampleEveryMs = 50;

/** @param onSample after each sample; not called any more after `stop` */
export const watchMemory = (pid: number, onSample: (usedMib: number) => void): MemoryWatch => {
  let used = 0;
  let peak = 0;
  let at = 0;
  const sample = (): void => {
    used = treeMemoryMib(pid);
    at = performance.now();
    peak = Math.max(peak, used);
  };
  const timer = setInterval(() => {
    sample();
    onSample(used);
  }, sampleEveryMs);
  return {
    current: () => {
      if (performance.now() - at > sampleEveryMs / 2) sample();
      return used;
    },
    peak: () => peak,
    stop: () => clearInterval(timer),
  };
};

/**
 * The command with a bound on its address space: what grows faster than it is sampled fails by itself before the
 * machine does. Generous, since the collector reserves more than it uses.
 */
export const withMemoryBackstop = (command: readonly string[], budgetMib: number): readonly string[] => {
  const kib = (budgetMib * 2 + 2048) * 1024;
  return ['/bin/sh', '-c', 'ulimit -c 0; ulimit -v "$1"; shift; exec "$@"', 'sh', String(kib), ...command];
};
