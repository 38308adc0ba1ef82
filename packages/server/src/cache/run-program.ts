// Runs a program of a cache's own that pushes, and keeps the end of what it says.
import { readLines, startChild } from '@eka-ci/process';

export interface ProgramRun {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdin?: string;
}

const keptLines = 40;

/**
 * @returns its last lines where it failed; null where it did not
 * @throws StartError; the signal's reason, when its process group has ended
 */
export const runProgram = async (
  { program, args, env, stdin }: ProgramRun,
  signal: AbortSignal,
): Promise<readonly string[] | null> => {
  const child = await startChild({
    command: program,
    args,
    env,
    signal,
    ...(stdin !== undefined && { stdin }),
  });
  const last: string[] = [];
  const keep = async (stream: typeof child.stderr): Promise<void> => {
    for await (const line of readLines(stream, 4096)) {
      last.push(line);
      if (last.length > keptLines) last.shift();
    }
  };
  try {
    await Promise.all([keep(child.stdout), keep(child.stderr)]);
  } finally {
    await child.exited;
  }
  const { code, signal: endedBy } = await child.exited;
  signal.throwIfAborted();
  if (code === 0) return null;
  return last.length === 0 ? [`it ended with ${code ?? endedBy}`] : last;
};
