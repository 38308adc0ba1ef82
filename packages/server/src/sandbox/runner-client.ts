// The server's side of a sandbox that is a runner somewhere: one connection for each run.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { errorCodeOf } from '../lib/error-code.ts';
import { longestTimerMs } from '../lib/later.ts';
import {
  parseMessage,
  protocolVersion,
  RunnerAnswer,
  RunnerProtocolError,
  type RunnerRequest,
  readFrames,
  writeFrame,
} from './runner-protocol.ts';
import type { Sandbox, SandboxCheck, SandboxedRun, SandboxResult } from './sandbox.ts';
import { sendTree } from './tree-stream.ts';

export interface RunnerConnection {
  readonly input: Readable;
  readonly output: Writable;
  /** Why it ended without an answer, where somebody can tell. */
  readonly complaint: () => string;
  /** Ends it; resolves when it has gone with all that it ran. Before an answer came, that cancels the run. Idempotent. */
  readonly close: () => Promise<void>;
}

export interface RunnerClientDeps {
  /** Rejects with words for an operator where there is no runner. */
  readonly connect: () => Promise<RunnerConnection>;
  /** Whether the runner can read the server's folders, and copies a tree by itself. */
  readonly seesFolders: boolean;
  /** Told once, by the first run that was answered: what holds a command back where the runner is. */
  readonly onBounds?: (bounds: readonly string[]) => void;
  /** Beyond the time of the command: for the tree to arrive, and for all to end. @default half an hour */
  readonly graceMs?: number;
}

const defaultGraceMs = 30 * 60_000;
/** What a runner waits longer for each that it shows. */
const perStorePathMs = 50;

type Answer = Pick<RunnerAnswer, 'result' | 'bounds'>;

const bare = (result: SandboxResult): Answer => ({ result, bounds: [] });
const refusal = (error: unknown): Answer =>
  bare({ kind: 'refused', why: error instanceof Error ? error.message : String(error) });

/** Nobody reads the other end any more. */
export const isRefusedWrite = (error: unknown): boolean =>
  ['EPIPE', 'ECONNRESET', 'ECANCELED', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END'].includes(
    errorCodeOf(error),
  );

const readAnswer = async (
  connection: RunnerConnection,
  { onOutput, limits }: Pick<SandboxedRun, 'onOutput' | 'limits'>,
): Promise<Answer> => {
  let left = limits.maxOutputMib * 1024 * 1024;
  for await (const { kind, body } of readFrames(connection.input)) {
    if (kind === 'output') {
      left -= body.length;
      if (left < 0) throw new RunnerProtocolError(`it told more than ${limits.maxOutputMib} MiB of output`);
      onOutput(body);
    } else if (kind === 'answer') return parseMessage(RunnerAnswer, body, 'runner');
    else throw new RunnerProtocolError(`${kind} from a runner`);
  }
  throw new RunnerProtocolError(`it went away without an answer. ${connection.complaint()}`.trim());
};

interface Talk {
  readonly connection: RunnerConnection;
  readonly request: RunnerRequest;
  readonly asked: SandboxedRun;
  readonly signal: AbortSignal;
}

const send = async ({ connection, request, asked, signal }: Talk): Promise<void> => {
  await writeFrame(connection.output, 'request', JSON.stringify(request));
  if (request.tree === null) await sendTree(connection.output, asked.tree, signal);
};

const talk = (to: Talk): Promise<Answer> => {
  const { connection, asked } = to;
  const answer = readAnswer(connection, asked);
  const sent = send(to).then(
    () => answer,
    async (error: unknown) => {
      // Our own fault, or the runner's: it refuses before it has the whole tree. Either way it is to have its end.
      await Promise.all([answer.catch(() => {}), connection.close()]);
      if (!isRefusedWrite(error)) throw error;
      // What it said, or why that is none, tells more than that it listens no more.
      return answer;
    },
  );
  return Promise.race([answer.catch(() => sent), sent]);
};

const nothingToDo: Omit<SandboxedRun, 'tree' | 'storePaths'> = {
  command: ['/bin/sh', '-c', ':'],
  env: {},
  allowNetwork: false,
  limits: { timeoutMs: 10_000, maxMemoryMib: 256, maxCpuSeconds: 10, maxProcesses: 64, maxOutputMib: 1 },
  onOutput: () => {},
};

type Ask = (asked: SandboxedRun, signal: AbortSignal) => Promise<Answer>;

/** A runner that is silent for ever must not have one of the few seats of checks for ever. */
const startPatience = (
  { limits, storePaths }: SandboxedRun,
  { graceMs = defaultGraceMs }: RunnerClientDeps,
  onEnd: () => void,
) => {
  const patienceMs = limits.timeoutMs + graceMs + storePaths.length * perStorePathMs;
  let why: Error | null = null;
  const timer = setTimeout(
    () => {
      why = new Error(`the sandbox gave no answer in ${patienceMs / 1000} s`);
      onEnd();
    },
    Math.min(patienceMs, longestTimerMs),
  );
  return { end: () => clearTimeout(timer), spent: (): Error | null => why };
};

const checkWith = async (
  ask: Ask,
  storePaths: SandboxedRun['storePaths'],
  signal: AbortSignal,
): Promise<SandboxCheck> => {
  const tree = await mkdtemp(join(tmpdir(), 'eka-ci-empty-'));
  try {
    const { result, bounds } = await ask({ ...nothingToDo, tree, storePaths }, signal);
    if (result.kind === 'ended' && result.status === 0) return { kind: 'works', bounds };
    const why =
      result.kind === 'refused'
        ? result.why
        : `a command that does nothing came to ${JSON.stringify(result)}`;
    return { kind: 'refused', why };
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
};

export const createRunnerClient = (deps: RunnerClientDeps): Sandbox => {
  const { connect, seesFolders, onBounds } = deps;
  let isTold = false;

  const requestOf = ({
    tree,
    command,
    env,
    storePaths,
    allowNetwork,
    limits,
  }: SandboxedRun): RunnerRequest => ({
    ...{
      version: protocolVersion,
      kind: 'run',
      command: [...command],
      env,
      allowNetwork,
      limits,
      storePaths: [...storePaths],
    },
    tree: seesFolders ? tree : null,
  });

  const askOver: (connection: RunnerConnection, ...asked: Parameters<Ask>) => Promise<Answer> = async (
    connection,
    asked,
    signal,
  ) => {
    const started = performance.now();
    // Closing never rejects, and is awaited below.
    const onAbort = (): void => void connection.close().catch(() => {});
    const patience = startPatience(asked, deps, onAbort);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      const answer = await talk({ connection, request: requestOf(asked), asked, signal });
      // A runner that was told to end has an answer, too.
      const spent = patience.spent();
      if (spent !== null) throw spent;
      // A runner that lost us in the middle of a tree calls that a fault.
      if (signal.aborted && answer.result.kind === 'refused') throw signal.reason;
      return answer;
    } catch (error) {
      const durationMs = Math.round(performance.now() - started);
      return signal.aborted ? bare({ kind: 'cancelled', durationMs }) : refusal(patience.spent() ?? error);
    } finally {
      patience.end();
      signal.removeEventListener('abort', onAbort);
      await connection.close();
    }
  };

  const ask: Ask = async (asked, signal) => {
    if (signal.aborted) return bare({ kind: 'cancelled', durationMs: 0 });
    const connection = await connect().catch((error: unknown) => refusal(error));
    if ('result' in connection) return connection;
    const answer = await askOver(connection, asked, signal);
    // Empty where it came to nothing before there was a run.
    if (answer.bounds.length > 0 && !isTold) {
      isTold = true;
      onBounds?.(answer.bounds);
    }
    return answer;
  };

  return {
    run: async (asked, signal) => (await ask(asked, signal)).result,
    check: (storePaths, signal = new AbortController().signal) => checkWith(ask, storePaths, signal),
  };
};
