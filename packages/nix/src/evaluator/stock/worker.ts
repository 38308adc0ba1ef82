// One Nix process over one batch of attributes: starts it, bounds it, reads its records, and says how it ended.
import { randomBytes } from 'node:crypto';
import { type Child, type ChildExit, readLines, startChild } from '@eka-ci/process';
import type { NixInstallation } from '../../installation.ts';
import { attributeTimeoutMs, type EvaluationRequest } from '../evaluator.ts';
import { parsePrintedError } from '../failure.ts';
import { type NixError, parseNixLogLine } from '../nix-log.ts';
import { type MemoryWatch, watchMemory, withMemoryBackstop } from '../process-memory.ts';
import type { Confinement } from '../sandbox.ts';
import { type WorkItem, workerExpression } from './expression.ts';
import {
  createRecordStream,
  type ItemOutcome,
  type RecordStream,
  type UnfinishedItem,
} from './record-stream.ts';

export interface WorkerOptions {
  readonly nix: NixInstallation;
  readonly confinement: Confinement;
  readonly request: EvaluationRequest;
  /** Null unless the target is a flake. */
  readonly flakeUrl: string | null;
  readonly items: readonly WorkItem[];
  readonly signal: AbortSignal;
  /** What `nix-instantiate` is given before the expression. */
  readonly nixOptions: readonly string[];
  /** While it is pending the worker is not read from, and its clock stands still. */
  readonly onSettled: (item: WorkItem, outcome: ItemOutcome) => Promise<void>;
  readonly onText: (text: string) => Promise<void>;
}

export type Death =
  | { readonly cause: 'error'; readonly error: NixError }
  | { readonly cause: 'memory'; readonly usedMib: number }
  | { readonly cause: 'timeout' }
  /** By somebody else's signal, or without a word. */
  | { readonly cause: 'killed'; readonly how: string };

export interface WorkerEnd {
  /** Null when every item was settled. */
  readonly death: Death | null;
  readonly inHand: UnfinishedItem | null;
  readonly waiting: readonly WorkItem[];
  readonly peakMib: number;
  /** From the start until the first item was settled. */
  readonly startMs: number;
  /** Mean of the others; null when there were none. */
  readonly itemMs: number | null;
}

/** Lines beyond it are cut. A stack overflow of 2.26 is one line of 2 MiB. */
const maxLineBytes = 16 * 1024 * 1024;

/** How much of what was printed past Nix's log is kept, to explain a death. */
const maxRawText = 16 * 1024;

/** Above this share of its budget a process gets no further attribute. */
const fullShare = 0.9;

interface Session {
  readonly child: Child;
  readonly stream: RecordStream;
  readonly memory: MemoryWatch;
  readonly options: WorkerOptions;
  stopped: Death | null;
  error: NixError | null;
  raw: string;
  /** When the item in hand was begun; null while our own reader is being waited for. */
  since: number | null;
  settledAt: number[];
}

const stop = (session: Session, death: Death): void => {
  session.stopped ??= death;
  session.child.end('SIGKILL');
};

const checkBounds = (session: Session, usedMib: number): void => {
  const { limits } = session.options.request;
  if (usedMib > limits.maxMemoryMib) stop(session, { cause: 'memory', usedMib });
  const took = session.since === null ? 0 : performance.now() - session.since;
  if (took > attributeTimeoutMs(limits)) stop(session, { cause: 'timeout' });
};

/** Between two attributes is the cheapest moment to give up a process that is nearly full. */
const checkAtStart = (session: Session): void => {
  const { maxMemoryMib } = session.options.request.limits;
  if (session.settledAt.length === 0) return;
  const usedMib = session.memory.current();
  if (usedMib > maxMemoryMib * fullShare) stop(session, { cause: 'memory', usedMib });
};

const takeMessage = async (session: Session, text: string): Promise<void> => {
  const traced = text.startsWith('trace: ') ? text.slice('trace: '.length) : null;
  const step = traced === null ? null : session.stream.accept(traced);
  if (step === null) return session.options.onText(text);
  switch (step.kind) {
    case 'broken':
      stop(session, { cause: 'killed', how: `its records were out of order: ${step.reason}` });
      return;
    case 'begun':
      checkAtStart(session);
      return;
    case 'settled':
      session.settledAt.push(performance.now());
      session.since = null;
      await session.options.onSettled(step.item, step.outcome);
      session.since = performance.now();
      return;
    case 'more':
      return;
  }
};

const takeLine = async (session: Session, line: string): Promise<void> => {
  const entry = parseNixLogLine(line);
  switch (entry.kind) {
    case 'message':
      return takeMessage(session, entry.text);
    case 'error':
      session.error = entry.error;
      return;
    case 'raw':
      if (session.raw.length < maxRawText) session.raw += `${entry.text.slice(0, maxRawText)}\n`;
      return;
    case 'other':
      return;
  }
};

const outOfMemory = /out of memory|bad_alloc|Cannot allocate memory/i;

/** Why a process that was not stopped by us ended before its batch did. */
const causeOfDeath = (session: Session, exit: ChildExit): Death => {
  if (session.stopped !== null) return session.stopped;
  const message = session.error?.message ?? session.raw;
  // The bound on its address space.
  if (outOfMemory.test(message)) return { cause: 'memory', usedMib: session.memory.peak() };
  if (session.error !== null) return { cause: 'error', error: session.error };
  if (/^error:/m.test(session.raw)) return { cause: 'error', error: parsePrintedError(session.raw) };
  // bubblewrap and shells report a signal as 128 and its number.
  const signal = exit.signal ?? (exit.code !== null && exit.code > 128 ? `signal ${exit.code - 128}` : null);
  const said = session.raw.trim().slice(0, 500);
  return { cause: 'killed', how: `${signal ?? `status ${exit.code}`}${said === '' ? '' : `: ${said}`}` };
};

const describeEnd = (session: Session, exit: ChildExit, startedAt: number): WorkerEnd => {
  const { stream, settledAt, options } = session;
  const [first = performance.now()] = settledAt;
  const last = settledAt.at(-1) ?? first;
  return {
    death: settledAt.length === options.items.length ? null : causeOfDeath(session, exit),
    inHand: stream.inHand(),
    waiting: stream.waiting(),
    peakMib: session.memory.peak(),
    startMs: first - startedAt,
    itemMs: settledAt.length > 1 ? (last - first) / (settledAt.length - 1) : null,
  };
};

const startSession = async (options: WorkerOptions): Promise<Session> => {
  const { nix, confinement, request, flakeUrl, items, signal } = options;
  const nonce = randomBytes(16).toString('hex');
  const nixCommand = [nix.programs.instantiate, ...options.nixOptions, '-'];
  const [command = '', ...args] = withMemoryBackstop(
    confinement.wrap(nixCommand),
    request.limits.maxMemoryMib,
  );
  const child = await startChild({
    command,
    args,
    env: confinement.env,
    stdin: workerExpression({ nonce, target: request.target, root: confinement.tree, flakeUrl, items }),
    signal,
    leavesGroup: true,
    killGraceMs: 1000,
  });
  const memory = watchMemory(child.pid, (usedMib) => checkBounds(session, usedMib));
  const session: Session = {
    child,
    memory,
    options,
    stream: createRecordStream(nonce, items),
    stopped: null,
    error: null,
    raw: '',
    since: performance.now(),
    settledAt: [],
  };
  return session;
};

/**
 * Runs the batch. Never resolves before its process has gone.
 * @throws StartError; whatever `onSettled` and `onText` throw
 */
export const runWorker = async (options: WorkerOptions): Promise<WorkerEnd> => {
  const startedAt = performance.now();
  const session = await startSession(options);
  session.child.stdout.resume(); // The fold's last value: the records came before it.
  try {
    for await (const line of readLines(session.child.stderr, maxLineBytes)) await takeLine(session, line);
  } catch (error) {
    session.child.end('SIGKILL');
    await session.child.exited;
    throw error;
  } finally {
    session.memory.stop();
  }
  return describeEnd(session, await session.child.exited, startedAt);
};
