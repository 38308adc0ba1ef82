// Starts children so that none is left behind: each leads its own process group, which ends with it, with
// the caller's signal, or with `endAllChildren`. Nothing here knows what the children are for.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { processesBelow } from './descendants.ts';
import { withOwnerDeath } from './owner-death.ts';

export { showAsIs, showTarget } from './bubblewrap.ts';
export { childrenOf, processesBelow } from './descendants.ts';
export { findProgram, isExecutable } from './find-program.ts';
export { findMarked, killMarked, type ProcessMark, signalMarked } from './marked-processes.ts';
export { filteredArchitecture, seccompFilter, withFilter } from './seccomp.ts';
export { filteredCalls } from './seccomp-rules.ts';

export interface ChildOptions {
  /** A program's path, or a name that is looked up in `env.PATH`. Never given to a shell. */
  readonly command: string;
  readonly args: readonly string[];
  /** The child's whole environment: nothing is inherited that is not named here. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to the child's standard input, which is then closed. Without it standard input is empty. */
  readonly stdin?: string | Uint8Array;
  /** Leaves standard input open after `stdin`: the child sees its end when we close it, or are gone. */
  readonly keepStdinOpen?: boolean;
  /** When it aborts, the child's process group gets SIGTERM, and SIGKILL after `killGraceMs`. */
  readonly signal?: AbortSignal;
  /** @default 3000 */
  readonly killGraceMs?: number;
  /**
   * What it starts leaves its group, as bubblewrap's first process does, which the kernel ends with bubblewrap only once it is
   * set up. All that are below the child are then killed, at once, when it is to end.
   */
  readonly leavesGroup?: boolean;
  /**
   * What the child itself, not its group, gets from the kernel when the thread that started it is gone without having
   * ended it: after `kill -9`, say. Where owner-death.ts finds no program for that, the child then goes on by itself.
   */
  readonly onOwnerDeath?: NodeJS.Signals;
}

export interface ChildExit {
  /** Exit status, or null when a signal ended the child. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Child {
  readonly pid: number;
  /** Null unless something was to be written to it. */
  readonly stdin: Writable | null;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when the child itself has gone: what left its group may still hold the streams. Never rejects. */
  readonly left: Promise<void>;
  /** Resolves when the child has gone and both streams are closed. Never rejects. */
  readonly exited: Promise<ChildExit>;
  /** Ends the child's whole process group: SIGTERM (or `signal`) now, SIGKILL after the grace. */
  end(signal?: NodeJS.Signals): void;
}

/** Thrown when a program cannot be started at all: it is missing, not executable, or its directory is gone. */
export class StartError extends Error {
  readonly code = 'PROCESS_NOT_STARTED';
  readonly command: string;
  constructor(command: string, cause: unknown, cwd?: string) {
    super(`cannot start ${command}: ${explainStart(cause, cwd)}`, { cause });
    this.name = 'StartError';
    this.command = command;
  }
}

/** The system says ENOENT for a missing program and for a missing working directory alike. */
const explainStart = (cause: unknown, cwd: string | undefined): string => {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : null;
  if (code === 'ENOENT') {
    return cwd === undefined || existsSync(cwd)
      ? 'no such program on PATH'
      : `its directory ${cwd} does not exist`;
  }
  if (code === 'E2BIG') return 'its arguments and environment are too long';
  return code ?? (cause instanceof Error ? cause.message : String(cause));
};

const running = new Set<Child>();

const signalGroup = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(-pid, signal);
  } catch {
    // ESRCH: the group has gone already, which is what was wanted.
  }
};

/**
 * Starts one child as the leader of a process group of its own.
 * @throws StartError when it cannot be started; the signal's reason when that had aborted before
 */
export const startChild = async (options: ChildOptions): Promise<Child> => {
  options.signal?.throwIfAborted();
  const { onOwnerDeath } = options;
  const [command, args] =
    onOwnerDeath === undefined ? [options.command, options.args] : withOwnerDeath(options, onOwnerDeath);
  try {
    const spawned = spawn(command, args, {
      cwd: options.cwd,
      env: { ...options.env },
      detached: true,
      stdio: [options.stdin === undefined && !options.keepStdinOpen ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    // Some refusals are thrown above and some are told by an event. A child with an id runs, and is supervised
    // from this moment on: nothing is awaited in between.
    if (spawned.pid === undefined)
      throw await new Promise<Error>((resolve) => spawned.once('error', resolve));
    return superviseChild(spawned, options);
  } catch (cause) {
    throw new StartError(options.command, cause, options.cwd);
  }
};

/** The first process of a sandbox takes all in it along. */
const mostBelow = 1000;

/** Those below it: who starts others is stopped first, so that none is missed. */
const killBelow = (pid: number): void => {
  signalGroup(pid, 'SIGSTOP');
  for (const below of processesBelow(pid, mostBelow)) {
    try {
      process.kill(below, 'SIGKILL');
    } catch {
      // It has gone, with one that was before it.
    }
  }
};

/** The one place that ends a group: SIGTERM first, SIGKILL after the grace, nothing once the child has gone. */
const createEnding = (pid: number, options: ChildOptions, closeStreams: () => void) => {
  let kill: NodeJS.Timeout | undefined;
  let gone = false;
  const end = (signal: NodeJS.Signals = 'SIGTERM'): void => {
    if (gone) return; // The system may have given the id to somebody else.
    if (options.leavesGroup) killBelow(pid);
    signalGroup(pid, options.leavesGroup ? 'SIGKILL' : signal);
    kill ??= setTimeout(() => {
      signalGroup(pid, 'SIGKILL');
      // A grandchild that left the group and holds the streams cannot be ended; it must not keep us waiting.
      closeStreams();
    }, options.killGraceMs ?? 3000);
  };
  const onAbort = (): void => end();
  options.signal?.addEventListener('abort', onAbort, { once: true });
  const settle = (): void => {
    gone = true;
    clearTimeout(kill);
    options.signal?.removeEventListener('abort', onAbort);
  };
  return { end, settle };
};

const superviseChild = (spawned: ChildProcess, options: ChildOptions): Child => {
  const { pid, stdout, stderr, stdin } = spawned;
  if (pid === undefined || stdout === null || stderr === null) {
    throw new Error('the child has no process id or no streams');
  }
  const { end, settle } = createEnding(pid, options, () => {
    stdout.destroy();
    stderr.destroy();
  });
  const left = Promise.withResolvers<void>();
  const exited = new Promise<ChildExit>((resolve) => {
    spawned.once('exit', () => {
      // What the leader leaves behind in its group goes with it.
      signalGroup(pid, 'SIGKILL');
      left.resolve();
    });
    spawned.once('close', (code, signal) => {
      settle();
      running.delete(child);
      resolve({ code, signal });
    });
  });
  const child: Child = { pid, stdin, stdout, stderr, left: left.promise, exited, end };
  running.add(child);
  stdin?.on('error', () => {}); // EPIPE: the child went before it read everything; its exit tells why.
  if (options.keepStdinOpen) stdin?.write(options.stdin ?? '');
  else stdin?.end(options.stdin);
  return child;
};

/** Ends every child that is still running and waits until all have gone. */
export const endAllChildren = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
  const children = [...running];
  for (const child of children) child.end(signal);
  await Promise.all(children.map((child) => child.exited));
};

export interface RunOptions extends ChildOptions {
  /** The child is ended after this long. @default no bound */
  readonly timeoutMs?: number;
  /** What is kept of each stream, from its beginning; the rest is read and dropped. @default 64 MiB */
  readonly maxOutputBytes?: number;
}

export interface RunResult extends ChildExit {
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
  /** True when a stream was longer than `maxOutputBytes`. */
  readonly truncated: boolean;
}

const collect = (stream: Readable, limit: number): { text: () => string; over: () => boolean } => {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    if (size < limit) chunks.push(chunk.subarray(0, limit - size));
    size += chunk.length;
  });
  return { text: () => Buffer.concat(chunks).toString('utf8'), over: () => size > limit };
};

/**
 * Runs a child to its end and gives what it printed. A non-zero status is a result, not an error.
 * @throws StartError when it cannot be started; the signal's reason when that had aborted before the start
 */
export const runChild = async (options: RunOptions): Promise<RunResult> => {
  const child = await startChild(options);
  const limit = options.maxOutputBytes ?? 64 * 1024 * 1024;
  const stdout = collect(child.stdout, limit);
  const stderr = collect(child.stderr, limit);
  let timedOut = false;
  const timer =
    options.timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          timedOut = true;
          child.end();
        }, options.timeoutMs);
  const exit = await child.exited;
  clearTimeout(timer);
  return {
    ...exit,
    stdout: stdout.text(),
    stderr: stderr.text(),
    timedOut,
    truncated: stdout.over() || stderr.over(),
  };
};

/**
 * The lines of a stream as UTF-8 without their line feeds, the last one also when it lacks one. A line longer
 * than `maxLineLength` is given once, cut to that length: memory stays flat whatever is printed.
 * @param maxLineLength in UTF-16 units. @default 16 Mi
 */
export async function* readLines(stream: Readable, maxLineLength = 16 * 1024 * 1024): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  // The line that has begun; its parts are joined once, at its end, however many chunks it takes.
  let parts: string[] = [];
  let length = 0;
  const extend = (text: string): void => {
    if (length < maxLineLength) parts.push(text.slice(0, maxLineLength - length));
    length += text.length;
  };
  const finish = (): string => {
    const line = parts.join('');
    parts = [];
    length = 0;
    return line;
  };
  for await (const chunk of stream) {
    const [continuation = '', ...following] = decoder.write(chunk as Buffer).split('\n');
    extend(continuation);
    for (const text of following) {
      yield finish();
      extend(text);
    }
  }
  extend(decoder.end());
  if (length > 0) yield finish();
}
