// Starts children so that none is left behind: each leads its own process group, which ends with it, with
// the caller's signal, or with `endAllChildren`. Nothing here knows what the children are for.
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

export interface ChildOptions {
  /** A program's path, or a name that is looked up in `env.PATH`. Never given to a shell. */
  readonly command: string;
  readonly args: readonly string[];
  /** The child's whole environment: nothing is inherited that is not named here. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to the child's standard input, which is then closed. Without it standard input is empty. */
  readonly stdin?: string | Uint8Array;
  /** When it aborts, the child's process group gets SIGTERM, and SIGKILL after `killGraceMs`. */
  readonly signal?: AbortSignal;
  /** @default 3000 */
  readonly killGraceMs?: number;
}

export interface ChildExit {
  /** Exit status, or null when a signal ended the child. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Child {
  readonly pid: number;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when the child has gone and both streams are closed. Never rejects. */
  readonly exited: Promise<ChildExit>;
  /** Ends the child's whole process group: SIGTERM (or `signal`) now, SIGKILL after the grace. */
  end(signal?: NodeJS.Signals): void;
}

/** Thrown when a program cannot be started at all: it is missing, not executable, or its directory is gone. */
export class StartError extends Error {
  readonly code = 'PROCESS_NOT_STARTED';
  readonly command: string;
  constructor(command: string, cause: unknown) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    super(`cannot start ${command}: ${reason === 'ENOENT' ? 'no such program on PATH' : reason}`, { cause });
    this.name = 'StartError';
    this.command = command;
  }
}

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
 * @throws StartError when it cannot be started
 */
export const startChild = async (options: ChildOptions): Promise<Child> => {
  options.signal?.throwIfAborted();
  const spawned = spawn(options.command, options.args, {
    cwd: options.cwd,
    env: { ...options.env },
    detached: true,
    stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  await new Promise<void>((resolve, reject) => {
    spawned.once('spawn', resolve);
    spawned.once('error', (cause) => reject(new StartError(options.command, cause)));
  });
  return superviseChild(spawned, options);
};

const superviseChild = (spawned: ChildProcess, options: ChildOptions): Child => {
  const { pid, stdout, stderr, stdin } = spawned;
  if (pid === undefined || stdout === null || stderr === null) {
    throw new StartError(options.command, 'the child has no process id or no streams');
  }
  let kill: NodeJS.Timeout | undefined;
  const end = (signal: NodeJS.Signals = 'SIGTERM'): void => {
    signalGroup(pid, signal);
    kill ??= setTimeout(() => signalGroup(pid, 'SIGKILL'), options.killGraceMs ?? 3000);
  };
  const onAbort = (): void => end();
  const exited = new Promise<ChildExit>((resolve) => {
    // A grandchild that keeps the streams open must not keep us waiting: it goes with its leader.
    spawned.once('exit', () => signalGroup(pid, 'SIGKILL'));
    spawned.once('close', (code, signal) => {
      clearTimeout(kill);
      options.signal?.removeEventListener('abort', onAbort);
      running.delete(child);
      resolve({ code, signal });
    });
  });
  const child: Child = { pid, stdout, stderr, exited, end };
  running.add(child);
  options.signal?.addEventListener('abort', onAbort, { once: true });
  if (options.signal?.aborted) onAbort();
  stdin?.on('error', () => {}); // EPIPE: the child went before it read everything; its exit tells why.
  stdin?.end(options.stdin);
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
 * than `maxLineBytes` is given cut to that length: memory stays flat whatever is printed.
 * @param maxLineBytes counted in UTF-16 units. @default 16 Mi
 */
export async function* readLines(stream: Readable, maxLineBytes = 16 * 1024 * 1024): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  let cut = false;
  for await (const chunk of stream) {
    const lines = (rest + decoder.write(chunk as Buffer)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!cut) yield line.slice(0, maxLineBytes);
      cut = false;
    }
    if (rest.length > maxLineBytes) {
      yield rest.slice(0, maxLineBytes);
      rest = '';
      cut = true;
    }
  }
  rest += decoder.end();
  if (rest !== '' && !cut) yield rest;
}

/** The full path of a program on `searchPath` (the form of `$PATH`), or null. */
export const findProgram = (name: string, searchPath = process.env['PATH'] ?? ''): string | null => {
  for (const folder of searchPath.split(delimiter)) {
    if (folder === '') continue;
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      // Not here; the next folder may have it.
    }
  }
  return null;
};
