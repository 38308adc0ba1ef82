// One command in bubblewrap, from its start to its result: the timers, the counters, and the one who ends it.

import { randomBytes } from 'node:crypto';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, childrenOf, processesBelow, startChild } from '@eka-ci/process';
import { longestTimerMs } from '../lib/later.ts';
import { memoryFolders } from './bubblewrap-arguments.ts';
import type { RunGroup } from './control-group-run.ts';
import type { DiskWatch } from './disk-watch.ts';
import { type FirstProcess, firstProcess } from './first-process.ts';
import type { OutputPipe } from './output-pipe.ts';
import { isAlive, mostProcesses, watchProcesses } from './process-watch.ts';
import type { SandboxEnding, SandboxResult } from './sandbox.ts';

export interface ConfinedRun {
  /** What starts bubblewrap, up to the command. */
  readonly wrapper: readonly string[];
  readonly asked: FirstProcess;
  /** Where the wrapper prints. */
  readonly pipe: OutputPipe;
  readonly disk: DiskWatch;
  /** What may pass until the command begins. @default a minute */
  readonly patienceMs?: number;
  /** The wrapper enters it by itself. Null where the machine has none for a run. */
  readonly group: RunGroup | null;
  /** Waits as long as nobody takes it. */
  readonly onOutput: (chunk: Buffer) => Promise<void>;
}

const watchEveryMs = 100;
/** For bubblewrap and the first process, on a machine that has much to do. */
const usualPatienceMs = 60_000;
/** For what ends by itself once its first process is killed. */
const killGraceMs = 2000;

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

/** Bubblewrap gives the status that a shell gives for a signal. SIGXCPU is the bound on processor time of one process. */
const resultOf = (status: number, durationMs: number): SandboxResult => {
  const signal = status > 128 ? signalNames.get(status - 128) : undefined;
  if (signal === 'SIGXCPU') return { kind: 'timed-out', durationMs };
  return signal === undefined
    ? { kind: 'ended', status, durationMs }
    : { kind: 'signalled', signal, durationMs };
};

const maxComplaintBytes = 2000;

/** What comes before the mark is said by bubblewrap or by the first process; what comes after it, by the command. */
const splitAtMark = (child: Child, mark: string, onBegin: () => void) => {
  const expected = Buffer.from(mark);
  let before: Buffer | null = Buffer.alloc(0);
  let complaint = Buffer.alloc(0);
  child.stdout.resume();
  child.stderr.on('data', (chunk: Buffer) => {
    if (complaint.length < maxComplaintBytes) complaint = Buffer.concat([complaint, chunk]);
  });
  return {
    hasBegun: (): boolean => before === null,
    /** What of it is the command's. */
    take: (chunk: Buffer): Buffer => {
      if (before === null) return chunk;
      before = Buffer.concat([before, chunk]);
      const at = before.indexOf(expected);
      if (at === -1) return Buffer.alloc(0);
      const rest = before.subarray(at + expected.length);
      before = null;
      onBegin();
      return rest;
    },
    complaint: (): string => {
      const said = Buffer.concat([complaint, before ?? Buffer.alloc(0)]).subarray(0, maxComplaintBytes);
      return said.toString('utf8').trim();
    },
  };
};

/**
 * Ends everything: the whole group at once, where there is one. When its first process is killed, the kernel kills all
 * others, and then that one is gone.
 */
const createEnd = (child: Child, group: RunGroup | null) => {
  let init: number | undefined;
  let force: NodeJS.Timeout | undefined;
  const findInit = (): void => {
    init ??= childrenOf(child.pid)[0];
  };
  return {
    /** The command has begun: bubblewrap tells how it ended before its first process, and whoever is left, has gone. */
    begun: findInit,
    now: (): void => {
      findInit();
      group?.kill();
      // Before it has a first process, bubblewrap is to go; and its unfinished child, which holds our streams.
      if (init === undefined) return child.end('SIGKILL');
      try {
        process.kill(init, 'SIGKILL');
      } catch {
        // It has gone.
      }
      force ??= setTimeout(() => child.end('SIGKILL'), killGraceMs);
    },
    /** Resolves when the last process of the sandbox has gone. */
    done: async (): Promise<void> => {
      clearTimeout(force);
      // Bounded, for its id may be somebody else's by now.
      const until = performance.now() + killGraceMs;
      while (init !== undefined && isAlive(init) && performance.now() < until) await sleep(5);
    },
  };
};

type End = (kind: SandboxEnding) => void;

interface Running {
  readonly child: Child;
  readonly output: ReturnType<typeof splitAtMark>;
  readonly end: End;
}

/** Ends with the child. */
const watchUse = async ({ asked, group }: ConfinedRun, { child, output, end }: Running): Promise<void> => {
  const { limits } = asked;
  const look = watchProcesses({ pid: child.pid, memoryFolders, ...limits });
  await untilLeft(child, async () => {
    // Until then the sandbox's folders are the machine's own.
    if (!output.hasBegun()) return watchEveryMs;
    const reached = group?.reached() ?? null;
    if (reached !== null) end(reached);
    const use = look();
    const cpuSeconds = Math.max(use.cpuSeconds, group?.cpuSeconds() ?? 0);
    if (use.memoryMib > limits.maxMemoryMib) end('out-of-memory');
    else if (cpuSeconds > limits.maxCpuSeconds) end('timed-out');
    else if (use.processes > limits.maxProcesses + ownProcesses) end('process-limit');
    return watchEveryMs;
  });
};

/** Beside the other watch, for a look through a large tree takes long. It is followed by a longer pause. */
const watchTree = async ({ asked, disk }: ConfinedRun, { child, end }: Running): Promise<void> => {
  const most = mostProcesses(asked.limits.maxProcesses);
  await untilLeft(child, async () => {
    const began = performance.now();
    if (!(await disk.isWithin(() => processesBelow(child.pid, most)))) end('disk-limit');
    return Math.max(watchEveryMs, (performance.now() - began) * 5);
  });
};

/** @param look resolves with the pause before the next one; not waited for once the child has left */
const untilLeft = async (child: Child, look: () => Promise<number>): Promise<void> => {
  let isRunning = true;
  const left = child.left.then(() => {
    isRunning = false;
  });
  while (isRunning) {
    const pauseMs = await Promise.race([left, look()]);
    // A pause after a long look is long: it is not to hold the runner once there is nothing to look at.
    if (isRunning) await Promise.race([left, sleep(pauseMs ?? 0, undefined, { ref: false })]);
  }
};

/** Bubblewrap's own, inside. */
const ownProcesses = 1;

/** All of it, up to the bound; what comes after that is read and dropped until the end. */
const passOutput = async ({ asked, pipe, onOutput }: ConfinedRun, running: Running): Promise<void> => {
  const { end } = running;
  let left = asked.limits.maxOutputMib * 1024 * 1024;
  for await (const chunk of pipe.stream) {
    const output = running.output.take(chunk as Buffer);
    if (output.length > left) end('output-limit');
    if (left > 0 && output.length > 0) await onOutput(output.subarray(0, left));
    left = Math.max(0, left - output.length);
  }
};

/**
 * For the limit that the kernel keeps for a user: the group's own bound is to be met first, for it tells of itself. Where
 * nobody entered the group, the watch sees one too many.
 */
const lenientProcesses = 16;

const boundsInside = ({ asked, group }: ConfinedRun): FirstProcess => {
  const { limits } = asked;
  if (group === null) return asked;
  return { ...asked, limits: { ...limits, maxProcesses: limits.maxProcesses + lenientProcesses } };
};

/** @throws StartError; what `onOutput` or the look at the disk rejects with, after the command was ended */
export const runConfined = async (run: ConfinedRun, signal: AbortSignal): Promise<SandboxResult> => {
  const mark = randomBytes(16).toString('hex');
  const started = performance.now();
  const [command = '', ...args] = [...run.wrapper, ...firstProcess(boundsInside(run), mark)];
  if (signal.aborted) return { kind: 'cancelled', durationMs: 0 };
  const child = await startChild({ command, args, env: {}, killGraceMs, leavesGroup: true });
  const ending = createEnd(child, run.group);
  let ended: SandboxEnding | null = null;
  const end: End = (kind) => {
    ended ??= kind;
    ending.now();
  };
  const timeoutMs = Math.min(run.asked.limits.timeoutMs, longestTimerMs);
  // The command's own time begins with it: what comes before is ours, and takes longer where the machine has much to do.
  let timer = setTimeout(() => ending.now(), run.patienceMs ?? usualPatienceMs);
  const output = splitAtMark(child, mark, () => {
    clearTimeout(timer);
    ending.begun();
    timer = setTimeout(() => end('timed-out'), timeoutMs);
  });
  const running: Running = { child, output, end };
  const onAbort = (): void => end('cancelled');
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const faults: unknown[] = [];
    const onFault = (error: unknown): void => {
      faults.push(error);
      end('cancelled');
    };
    const closed = child.left.then(() => run.pipe.closeOurs());
    const parts = [passOutput(run, running), watchUse(run, running), watchTree(run, running)];
    await Promise.all([...parts.map((part) => part.catch(onFault)), closed]);
    const { code } = await child.exited;
    await ending.done();
    if (faults.length > 0) throw faults[0];
    const durationMs = Math.round(performance.now() - started);
    const why = ended ?? run.group?.reached() ?? null;
    if (why !== null) return { kind: why, durationMs };
    if (output.hasBegun()) return resultOf(code ?? 128 + constants.signals.SIGKILL, durationMs);
    return { kind: 'refused', why: output.complaint() || 'bubblewrap did not begin, and said nothing' };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
};
