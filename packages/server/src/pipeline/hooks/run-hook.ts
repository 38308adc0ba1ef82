// Runs one hook to its end: its program without a shell, in an environment of its own, and nothing of it is left behind.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Child,
  killMarked,
  type ProcessMark,
  StartError,
  signalMarked,
  startChild,
} from '@eka-ci/process';
import { expandCommand, type HookValues, hookVariables, textOfVariable } from '../../config/hook-command.ts';
import type { Secret } from '../../config/secret.ts';
import { createLogFile } from '../../lib/log-file.ts';
import type { SecretMask } from '../../lib/secret-mask.ts';
import { createWorkFolder, type WorkFolder } from '../../lib/work-folder.ts';
import { createHookOutput, type HookOutput } from './hook-output.ts';

/** A hook's processes are known by it, wherever they went. */
export const markName = 'EKA_HOOK_RUN';

export interface HookInvocation {
  /** As ekaci.toml has it, checked. */
  readonly command: readonly string[];
  /** Told once there is a folder of the hook's own, for the log of its build lies in it. */
  readonly valuesIn: (folder: string) => Promise<HookValues>;
  readonly credentials: ReadonlyMap<string, Secret>;
  readonly timeoutMs: number;
  /** Of this run and no other. */
  readonly mark: string;
  /** Absolute. */
  readonly logPath: string;
}

export interface RunHookDeps {
  /** What every hook gets beside what it is told: nothing that is a secret. */
  readonly env: Readonly<Record<string, string>>;
  readonly mask: Pick<SecretMask, 'line'>;
  /** Between the request to end and the end. @default 5000 */
  readonly killGraceMs?: number;
}

export type HookEnd =
  | { readonly kind: 'exited'; readonly status: number }
  /** Not by us. */
  | { readonly kind: 'signalled'; readonly signal: string }
  | { readonly kind: 'timed-out' }
  /** The signal aborted. */
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'not-started'; readonly why: string };

export interface HookResult {
  readonly end: HookEnd;
  readonly durationMs: number;
  readonly printedBytes: number;
  /** Of the log as it was written. */
  readonly logSha256: string;
  /** For people: why the log is not complete; null where it is. */
  readonly logFault: string | null;
}

const environmentOf = (
  { env }: RunHookDeps,
  { credentials, mark }: HookInvocation,
  { home, values }: { readonly home: string; readonly values: HookValues },
): Record<string, string> => ({
  ...env,
  HOME: home,
  ...Object.fromEntries([...credentials].map(([name, secret]) => [name, secret.reveal()])),
  ...Object.fromEntries(hookVariables.map((name) => [name, textOfVariable(name, values)])),
  [markName]: mark,
});

const defaultGraceMs = 5000;
/** What still holds a stream when all that could be found is dead is not waited for. */
const streamGraceMs = 1000;

interface Ending {
  /** Why we ended it; null where it ended by itself. */
  reason: 'timed-out' | 'cancelled' | null;
  readonly stop: () => void;
}

/** Ends it when its time is up or nobody wants it: politely at first, then with all that it started. */
const watchEnd = (
  child: Child,
  mark: ProcessMark,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Ending => {
  const end = (reason: 'timed-out' | 'cancelled'): void => {
    if (ending.reason !== null) return;
    ending.reason = reason;
    child.end();
    // Its program is killed after the grace, if it has to be, and then all else. What cannot be looked at is passed over.
    signalMarked(mark, 'SIGTERM').catch(() => {});
  };
  const timer = setTimeout(() => end('timed-out'), timeoutMs);
  const onAbort = (): void => end('cancelled');
  const ending: Ending = {
    reason: null,
    stop() {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    },
  };
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  return ending;
};

const runToEnd = async (
  child: Child,
  mark: ProcessMark,
  { ending, output }: { readonly ending: Ending; readonly output: HookOutput },
): Promise<HookEnd> => {
  const reading = Promise.all([output.read(child.stdout), output.read(child.stderr)]);
  await child.left;
  ending.stop();
  // A hook is over with its program: what it left running must not run on.
  await killMarked(mark);
  const settled = new AbortController();
  const late = sleep(streamGraceMs, null, { signal: settled.signal }).then(
    () => [child.stdout, child.stderr].forEach((stream) => stream.destroy()),
    () => {},
  );
  const { code, signal } = await child.exited;
  await reading;
  settled.abort();
  await late;
  if (ending.reason !== null) return { kind: ending.reason };
  return code === null ? { kind: 'signalled', signal: String(signal) } : { kind: 'exited', status: code };
};

interface Prepared {
  readonly home: string;
  readonly values: HookValues;
}

const prepare = async ({ path }: WorkFolder, hook: HookInvocation): Promise<Prepared> => {
  const home = join(path, 'home');
  await mkdir(home, { mode: 0o700 });
  return { home, values: await hook.valuesIn(path) };
};

const invoke = async (
  deps: RunHookDeps,
  hook: HookInvocation,
  {
    prepared,
    output,
    signal,
  }: { readonly prepared: Prepared; readonly output: HookOutput; readonly signal: AbortSignal },
): Promise<HookEnd> => {
  const mark = { name: markName, value: hook.mark };
  const graceMs = deps.killGraceMs ?? defaultGraceMs;
  const [command = '', ...args] = expandCommand(hook.command, prepared.values);
  try {
    const child = await startChild({
      command,
      args,
      env: environmentOf(deps, hook, prepared),
      cwd: prepared.home,
      killGraceMs: graceMs,
      // It is recorded as interrupted then: nothing of it is to go on.
      onOwnerDeath: 'SIGKILL',
    });
    const ending = watchEnd(child, mark, { timeoutMs: hook.timeoutMs, signal });
    return await runToEnd(child, mark, { ending, output });
  } catch (error) {
    if (error instanceof StartError) return { kind: 'not-started', why: error.message };
    throw error;
  }
};

/** Where the hook itself cannot say why its log ends. */
const lastLine = (end: HookEnd, { timeoutMs }: HookInvocation): string | null => {
  switch (end.kind) {
    case 'exited':
      return null;
    case 'signalled':
      return `[EkaCI: ${end.signal} ended the hook]`;
    case 'timed-out':
      return `[EkaCI ended the hook: it took longer than ${timeoutMs / 1000} s]`;
    case 'cancelled':
      return '[EkaCI ended the hook: the server ends]';
    case 'not-started':
      return `[EkaCI could not start the hook: ${end.why}]`;
  }
};

/**
 * Resolves when nothing of it runs any more, but for what hides: a process that clears its environment and leaves its
 * session is not found. Failures of the hook are results.
 * @throws what `valuesIn` or the file system throws; nothing ran then
 */
export const runHook = async (
  deps: RunHookDeps,
  hook: HookInvocation,
  signal: AbortSignal,
): Promise<HookResult> => {
  const startedAt = performance.now();
  const folder = await createWorkFolder('ekaci-hook-');
  try {
    const prepared = await prepare(folder, hook);
    // Above what the output keeps.
    const log = createLogFile({ path: hook.logPath, maxBytes: 32 * 1024 * 1024 });
    const output = createHookOutput({ log, mask: deps.mask });
    try {
      const end = await invoke(deps, hook, { prepared, output, signal });
      output.finish();
      const last = lastLine(end, hook);
      if (last !== null) output.say(last);
      return {
        end,
        durationMs: Math.round(performance.now() - startedAt),
        printedBytes: output.printedBytes(),
        logSha256: output.logSha256(),
        logFault: (await log.close()).fault,
      };
    } finally {
      await log.close();
    }
  } finally {
    // It has run, whatever becomes of its folder: retention tries again.
    await folder.remove().catch(() => {});
  }
};
