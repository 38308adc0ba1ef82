// The evaluator that uses `nix-eval-jobs`, where that is installed: it catches every error without a restart.
import { type Child, type ChildExit, readLines, startChild } from '@eka-ci/process';
import type { NixInstallation } from '../../installation.ts';
import {
  attributeTimeoutMs,
  type EvaluationEnd,
  type EvaluationEvent,
  type Evaluator,
} from '../evaluator.ts';
import { describeNixError, parsePrintedError, type SourceRoots } from '../failure.ts';
import { createLogLimit } from '../log-limit.ts';
import { evaluationArguments, nixSettings } from '../nix-options.ts';
import { createStop, endFailed, evaluatePrepared, type Prepared, timeoutFailure } from '../preparation.ts';
import { treeMemoryMib, withMemoryBackstop } from '../process-memory.ts';
import { createSandbox, type Sandbox } from '../sandbox.ts';
import { rootExpression } from '../stock/expression.ts';
import { parseJobLine } from './schema.ts';
import { type LineContext, toRecord } from './to-record.ts';

/** Lines beyond it are cut, and with that no longer JSON. */
const maxLineBytes = 16 * 1024 * 1024;
const maxErrorText = 64 * 1024;

/** Its arguments for the prepared evaluation. */
export const evalJobsArguments = (
  nix: NixInstallation,
  { request, confinement, flake }: Prepared,
): string[] => [
  '--workers',
  String(request.limits.workers),
  '--max-memory-size',
  String(request.limits.maxMemoryMib),
  '--gc-roots-dir',
  request.rootsDir,
  '--meta',
  '--show-trace',
  ...(request.target.kind === 'file' ? ['--impure'] : []),
  ...evaluationArguments(nixSettings(nix, request), { request, confinement }),
  '--expr',
  rootExpression({ target: request.target, root: confinement.tree, flakeUrl: flake?.url ?? null }),
];

interface Session {
  readonly child: Child;
  readonly prepared: Prepared;
  readonly context: LineContext;
  records: number;
  failed: number;
  peakMib: number;
  /** What it said on standard error, from the end. */
  errors: string;
  /** Why what was read cannot be a whole jobset. */
  fault: string | null;
  lastRecordAt: number;
  stalled: boolean;
}

const watch = (session: Session): NodeJS.Timeout =>
  setInterval(() => {
    session.peakMib = Math.max(session.peakMib, treeMemoryMib(session.child.pid));
    const { limits } = session.prepared.request;
    if (performance.now() - session.lastRecordAt > attributeTimeoutMs(limits)) {
      session.stalled = true;
      session.child.end();
    }
  }, 100);

async function* readRecords(session: Session): AsyncGenerator<EvaluationEvent> {
  for await (const line of readLines(session.child.stdout, maxLineBytes)) {
    session.lastRecordAt = performance.now();
    const parsed = parseJobLine(line);
    if (parsed === undefined) {
      session.fault ??= `it printed a line that is no record: ${line.slice(0, 200)}`;
      continue;
    }
    const record = toRecord(parsed, session.context);
    session.records += 1;
    if (record.kind === 'failed') session.failed += 1;
    yield { type: 'record', record };
    if (session.records % 100 === 0) yield progressOf(session);
  }
}

const progressOf = ({ records, failed }: Session): EvaluationEvent => ({
  type: 'progress',
  evaluated: records,
  failed,
  known: records,
});

const readErrors = async (session: Session): Promise<string[]> => {
  const lines: string[] = [];
  for await (const line of readLines(session.child.stderr, 10_000)) {
    session.errors = `${session.errors}${line}\n`.slice(-maxErrorText);
    if (lines.length <= 5000) lines.push(line);
  }
  return lines;
};

const describeEnd = (session: Session, exit: ChildExit, roots: SourceRoots): EvaluationEnd => {
  const { fault, errors, records, peakMib, stalled, prepared } = session;
  if (stalled) {
    const seconds = attributeTimeoutMs(prepared.request.limits) / 1000;
    const message = `no attribute was evaluated for ${seconds} s; ${records} were before`;
    return endFailed({ kind: 'timeout', message, position: null });
  }
  if (exit.code === 0 && fault === null)
    return { kind: 'complete', records, processes: 1, peakMib: Math.ceil(peakMib) };
  if (fault === null && /^\s*error:/m.test(errors))
    return endFailed(describeNixError(parsePrintedError(errors), roots));
  const how = fault ?? `it ended with ${exit.signal ?? `status ${exit.code}`}: ${errors.trim().slice(-500)}`;
  return endFailed({ kind: 'killed', message: `nix-eval-jobs gave no whole answer: ${how}`, position: null });
};

const startSession = async (
  nix: NixInstallation,
  prepared: Prepared,
  signal: AbortSignal,
): Promise<Session> => {
  const { request, confinement, flake } = prepared;
  const program = nix.programs.evalJobs ?? 'nix-eval-jobs';
  const confined = confinement.wrap([program, ...evalJobsArguments(nix, prepared)]);
  const [command = '', ...args] = withMemoryBackstop(confined, request.limits.maxMemoryMib);
  const child = await startChild({ command, args, env: confinement.env, signal, leavesGroup: true });
  const ownName = request.target.kind === 'file' ? request.target.attrPath.at(-1) : undefined;
  return {
    child,
    prepared,
    context: {
      storeDir: nix.storeDir,
      roots: [confinement.tree, ...(flake === null ? [] : [flake.storePath])],
      allowNetwork: request.allowNetwork,
      rootName: ownName ?? 'default',
    },
    records: 0,
    failed: 0,
    peakMib: 0,
    errors: '',
    fault: null,
    stalled: false,
    lastRecordAt: performance.now(),
  };
};

export const createNixEvalJobsEvaluator = (
  nix: NixInstallation,
  deps: { readonly sandbox?: Sandbox } = {},
): Evaluator => {
  const sandbox = deps.sandbox ?? createSandbox(nix);

  async function* run(
    prepared: Prepared,
    caller: AbortSignal,
  ): AsyncGenerator<EvaluationEvent, EvaluationEnd> {
    const stop = createStop(prepared.request.limits.timeoutMs, caller);
    const session = await startSession(nix, prepared, stop.signal);
    const timer = watch(session);
    const logged = createLogLimit();
    try {
      const said = readErrors(session);
      yield* readRecords(session);
      for (const line of await said) yield* logged(line);
      yield progressOf(session);
      const exit = await session.child.exited;
      caller.throwIfAborted();
      if (stop.timedOut()) {
        return endFailed(timeoutFailure(prepared.request, `${session.records} attributes were evaluated`));
      }
      return describeEnd(session, exit, session.context.roots);
    } finally {
      clearInterval(timer);
      stop.abort();
      await session.child.exited;
      stop.dispose();
    }
  }

  return {
    name: 'nix-eval-jobs',
    evaluate: (request, signal) =>
      evaluatePrepared({ nix, sandbox, run, rootsInside: true }, request, signal),
  };
};
