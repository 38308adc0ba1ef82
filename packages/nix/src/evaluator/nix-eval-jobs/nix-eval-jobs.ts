// The evaluator that uses `nix-eval-jobs`, where that is installed: it catches most errors without a restart. What it leaves,
// failures and what it does not survive, the stock driver looks at, which knows more of them: so both give the same records.
import { type Child, type ChildExit, readLines, startChild } from '@eka-ci/process';
import type { NixInstallation } from '../../installation.ts';
import { printAttrPath } from '../attr-path.ts';
import {
  attributeTimeoutMs,
  type EvaluationEnd,
  type EvaluationEvent,
  type Evaluator,
} from '../evaluator.ts';
import { stripControls } from '../failure.ts';
import { createLogLimit } from '../log-limit.ts';
import { evaluationArguments, nixSettings } from '../nix-options.ts';
import { createStop, endFailed, evaluatePrepared, type Prepared, timeoutFailure } from '../preparation.ts';
import { largestProcessMib, withMemoryBackstop } from '../process-memory.ts';
import { createSandbox } from '../sandbox.ts';
import { mostAttributes, type Remainder } from '../stock/evaluation-run.ts';
import { aboutAttribute, jobsExpression } from '../stock/expression.ts';
import { createStockRun, type StockEvaluatorDeps } from '../stock/stock-evaluator.ts';
import type { RecordContext } from '../stock/to-record.ts';
import { parseJobLine } from './schema.ts';
import { toOutcome } from './to-outcome.ts';

/** Lines beyond it are cut, and with that no longer JSON. */
const maxLineBytes = 16 * 1024 * 1024;
const maxSaid = 2000;

/** Its arguments for the prepared evaluation. `--apply` is known since its 2.25. */
const evalJobsArguments = (nix: NixInstallation, { request, confinement, flake }: Prepared): string[] => [
  '--workers',
  String(request.limits.workers),
  '--max-memory-size',
  String(request.limits.maxMemoryMib),
  '--gc-roots-dir',
  request.rootsDir,
  ...(request.target.kind === 'file' ? ['--impure'] : []),
  ...evaluationArguments(nixSettings(nix, request), { request, confinement }),
  '--apply',
  `package: package.${aboutAttribute}`,
  '--expr',
  jobsExpression({ target: request.target, root: confinement.tree, flakeUrl: flake?.url ?? null }),
];

/** Why it was ended by us. */
type Stopped = 'stalled' | 'endless' | 'garbled';

interface Session {
  readonly child: Child;
  readonly prepared: Prepared;
  readonly context: RecordContext;
  readonly settled: Set<string>;
  readonly left: { readonly path: readonly string[]; readonly throws: boolean }[];
  records: number;
  failed: number;
  peakMib: number;
  /** Its last errors. */
  said: string;
  lastLineAt: number;
  stopped: Stopped | null;
}

const stopFor = (session: Session, why: Stopped): void => {
  session.stopped ??= why;
  session.child.end('SIGKILL');
};

const watch = (session: Session): NodeJS.Timeout =>
  setInterval(() => {
    session.peakMib = Math.max(session.peakMib, largestProcessMib(session.child.pid));
    const { limits } = session.prepared.request;
    if (performance.now() - session.lastLineAt > attributeTimeoutMs(limits)) stopFor(session, 'stalled');
  }, 100);

const progressOf = ({ records, failed, left }: Session): EvaluationEvent => ({
  type: 'progress',
  evaluated: records,
  failed,
  known: records + left.length,
});

async function* readRecords(session: Session): AsyncGenerator<EvaluationEvent> {
  for await (const line of readLines(session.child.stdout, maxLineBytes)) {
    const parsed = parseJobLine(line);
    if (parsed === undefined) {
      stopFor(session, 'garbled');
      return;
    }
    const outcome = toOutcome(parsed, session.context);
    if (outcome.kind === 'left') session.left.push(outcome);
    else {
      session.records += 1;
      if (outcome.record.kind === 'failed') session.failed += 1;
      session.settled.add(printAttrPath(parsed.attrPath));
      yield { type: 'record', record: outcome.record };
      if (session.records % 100 === 0) yield progressOf(session);
    }
    if (session.records + session.left.length > mostAttributes) stopFor(session, 'endless');
    // While whoever reads us takes its time, so do the workers.
    session.lastLineAt = performance.now();
  }
}

/**
 * What it logs. Its workers print for people, whatever format is asked for; errors, which begin so and go on indented, are
 * told of their attributes.
 */
const readLog = async (session: Session): Promise<EvaluationEvent[]> => {
  const logged = createLogLimit();
  const events: EvaluationEvent[] = [];
  let isInError = false;
  for await (const coloured of readLines(session.child.stderr, maxLineBytes)) {
    const line = stripControls(coloured);
    isInError = line.startsWith('error:') || (isInError && /^(?:\s|$)/.test(line));
    if (isInError) session.said = `${session.said}${line}\n`.slice(-maxSaid);
    else events.push(...logged(line));
  }
  return events;
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
  return {
    child,
    prepared,
    context: {
      storeDir: nix.storeDir,
      target: request.target,
      roots: [confinement.tree, ...(flake === null ? [] : [flake.storePath])],
    },
    settled: new Set(),
    left: [],
    records: 0,
    failed: 0,
    peakMib: 0,
    said: '',
    lastLineAt: performance.now(),
    stopped: null,
  };
};

/** Null where nothing is left. Of one that ended before its time nobody knows what it would have come to. */
const remainderOf = ({ left, settled, stopped }: Session, exit: ChildExit): Remainder | null => {
  if (exit.code !== 0 || stopped !== null) return { begin: [{ path: [], throws: false }], settled };
  return left.length === 0 ? null : { begin: left, settled };
};

/** Where it is of no use at all, and the job is not to blame: an older one, say, that lacks an option. */
const uselessness = (session: Session, exit: ChildExit, end: EvaluationEnd): EvaluationEvent[] => {
  const { records, left, stopped, said } = session;
  if (end.kind !== 'complete' || records + left.length > 0 || (exit.code === 0 && stopped === null))
    return [];
  const how = stopped ?? exit.signal ?? `status ${exit.code}`;
  const message = `nix-eval-jobs gave no record (${how}: ${said.trim().slice(-500)}): all was evaluated by nix-instantiate. Its 2.25 or newer is needed`;
  return [{ type: 'warning', message }];
};

/** The events of the rest, counted on. */
async function* countOn(
  session: Session,
  rest: AsyncGenerator<EvaluationEvent, EvaluationEnd>,
): AsyncGenerator<EvaluationEvent, EvaluationEnd> {
  const { records, failed, peakMib } = session;
  try {
    for (;;) {
      const next = await rest.next();
      if (next.done === true) {
        const end = next.value;
        if (end.kind === 'failed') return end;
        return {
          kind: 'complete',
          records: records + end.records,
          processes: 1 + end.processes,
          peakMib: Math.max(Math.ceil(peakMib), end.peakMib),
        };
      }
      const event = next.value;
      yield event.type === 'progress'
        ? {
            type: 'progress',
            evaluated: records + event.evaluated,
            failed: failed + event.failed,
            known: records + event.known,
          }
        : event;
    }
  } finally {
    await rest.return({
      kind: 'failed',
      failure: { kind: 'killed', message: 'nobody reads', position: null },
    });
  }
}

/** As far as it comes: its end says nothing of the job. */
async function* runJobs(
  nix: NixInstallation,
  prepared: Prepared,
  signal: AbortSignal,
): AsyncGenerator<EvaluationEvent, { readonly session: Session; readonly exit: ChildExit }> {
  const session = await startSession(nix, prepared, signal);
  const timer = watch(session);
  try {
    const logged = readLog(session);
    logged.catch(() => {}); // Awaited below, unless its records end this first.
    yield* readRecords(session);
    yield* await logged;
    yield progressOf(session);
    return { session, exit: await session.child.exited };
  } finally {
    clearInterval(timer);
    session.child.end('SIGKILL');
    await session.child.exited;
  }
}

export const createNixEvalJobsEvaluator = (
  nix: NixInstallation,
  deps: StockEvaluatorDeps = {},
): Evaluator => {
  const sandbox = deps.sandbox ?? createSandbox(nix);
  const stock = createStockRun(nix, deps);

  async function* run(
    prepared: Prepared,
    caller: AbortSignal,
  ): AsyncGenerator<EvaluationEvent, EvaluationEnd> {
    const { request } = prepared;
    const stop = createStop(request.limits.timeoutMs, caller);
    let evaluated = 0;
    try {
      const { session, exit } = yield* runJobs(nix, prepared, stop.signal);
      evaluated = session.records;
      stop.signal.throwIfAborted();
      const remainder = remainderOf(session, exit);
      if (remainder === null)
        return { kind: 'complete', records: evaluated, processes: 1, peakMib: Math.ceil(session.peakMib) };
      const end = yield* countOn(session, stock(prepared, stop.signal, remainder));
      yield* uselessness(session, exit, end);
      return end;
    } catch (error) {
      caller.throwIfAborted();
      if (!stop.timedOut()) throw error;
      return endFailed(timeoutFailure(request, `${evaluated} attributes or more were evaluated`));
    } finally {
      stop.abort();
      stop.dispose();
    }
  }

  return {
    name: 'nix-eval-jobs',
    evaluate: (request, signal) =>
      evaluatePrepared({ nix, sandbox, run, rootsInside: true }, request, signal),
  };
};
