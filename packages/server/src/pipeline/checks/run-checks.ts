// Stage: the checks of a change's judged tree, beside its builds: each run once in the sandbox, or answered by what came
// of the same before.
import { randomUUID } from 'node:crypto';
import type { CheckOutcome, JudgedCheck } from '@eka-ci/core/check-outcome';
import type { StorePath } from '@eka-ci/core/ids';
import type { System, SystemPrograms } from '@eka-ci/nix/system-programs';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import type { Database, StoredCheckRun } from '../../database/database.ts';
import { createTurns, type Turns } from '../../lib/turns.ts';
import type { Sandbox, SandboxLimits } from '../../sandbox/sandbox.ts';
import { JudgementStopped } from '../judge-loop.ts';
import { type AskedCheck, type CheckGround, questionOf, type ShellWanted } from './asked-checks.ts';
import { type CheckEnding, endingOf } from './check-ending.ts';
import { type CheckLine, createCheckLine } from './check-line.ts';
import { type CheckLogDeps, checkLogFileOf, openCheckLog } from './check-log.ts';
import { type Environment, plainEnvironment } from './shell-environment.ts';

/** What the checks of all changes share. */
export interface CheckStage {
  readonly sandbox: Sandbox;
  readonly runs: Database['checkRuns'];
  readonly logs: CheckLogDeps;
  readonly limits: Omit<SandboxLimits, 'timeoutMs'>;
  /** Whatever a check asks for. */
  readonly maxTimeoutMs: number;
  /** What no shell brings. */
  readonly system: System;
  /** By a link in that folder. @throws RootingError */
  readonly keepPath: (path: StorePath, folder: string) => Promise<void>;
  readonly line: CheckLine;
  /** Of questions that are being answered. */
  readonly asking: Map<string, { readonly turns: Turns; users: number }>;
  /** Milliseconds: what did not pass is run again when that came of it longer ago. */
  readonly failureMaxAgeMs: number;
  /** Where people read the log of a run; null: nowhere. */
  readonly logUrlOf: (id: string) => string | null;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

/** @param atOnce how many are run at once, over all changes: 2 or more */
export const createCheckStage = (
  deps: Omit<CheckStage, 'line' | 'asking'> & { readonly atOnce: number },
): CheckStage => {
  const { atOnce, ...stage } = deps;
  return { ...stage, line: createCheckLine(atOnce), asking: new Map() };
};

/** One change's. */
export interface ChecksToRun {
  readonly changeId: string;
  /** Those of changes with lower numbers are run first. */
  readonly rank: number;
  readonly checks: readonly AskedCheck[];
  readonly ground: CheckGround;
  readonly programs: SystemPrograms;
  /** @returns the folder of the judged tree, which nobody changes */
  readonly exportTree: () => Promise<string>;
  /** @throws the signal's reason, and what evaluating and building throw */
  readonly environmentOf: (shell: ShellWanted, signal: AbortSignal) => Promise<Environment>;
  /** Resolves when something may begin. @throws the signal's reason */
  readonly untilOpen: (check: string, signal: AbortSignal) => Promise<void>;
  readonly onEvent: (event: ReviewEvent) => void;
}

interface CheckToRun {
  readonly stage: CheckStage;
  readonly asked: ChecksToRun;
  readonly check: AskedCheck;
  readonly question: string;
  readonly environmentOf: ChecksToRun['environmentOf'];
  readonly signal: AbortSignal;
}

/** One after the other of those who ask the same; the second finds the answer of the first. @throws as `work` */
const askedOnce = async <Result>(
  { stage: { asking }, question, signal }: CheckToRun,
  work: () => Promise<Result>,
): Promise<Result> => {
  const line = asking.get(question) ?? { turns: createTurns(1), users: 0 };
  asking.set(question, line);
  line.users += 1;
  try {
    return await line.turns.take(work, signal);
  } finally {
    line.users -= 1;
    if (line.users === 0) asking.delete(question);
  }
};

type Ended = CheckEnding & { readonly tail: readonly string[] };

const refuse = (reason: string): Ended => ({
  ...{ outcome: 'refused', status: null, reason, durationMs: null, isAnswer: false, tail: [] },
});

const failBefore = (reason: string): Ended => ({ ...refuse(reason), outcome: 'failed' });

const networkRefusals = {
  unallowed:
    "it asks for the network (allow_network), and the base's configuration does not allow that to a check of its name: merge that first",
  refused:
    'it asks for the network (allow_network), and this server does not give it to checks of this repository: who runs the server allows it in sandbox.allow_network',
};

const refusalOf = ({ network }: AskedCheck): string | null =>
  network === 'unallowed' || network === 'refused' ? networkRefusals[network] : null;

/** In the sandbox, when its turn has come. */
const runConfined = async (
  { stage, asked, check, signal }: CheckToRun,
  id: string,
  environment: Extract<Environment, { kind: 'ready' }>,
): Promise<Ended> => {
  const { sandbox, runs, logs, system } = stage;
  const limits = { ...stage.limits, timeoutMs: check.timeoutMs };
  const allowNetwork = check.network === 'allowed';
  await asked.untilOpen(check.name, signal);
  const storePaths = allowNetwork
    ? [...new Set([...environment.storePaths, ...(await system.network(signal))])]
    : environment.storePaths;
  const tree = await asked.exportTree();
  signal.throwIfAborted();
  const { name } = check;
  const log = openCheckLog(logs, id, ({ line, lines }) =>
    asked.onEvent({ type: 'check-output', check: name, id, line, lines: [...lines] }),
  );
  try {
    await runs.start(id, checkLogFileOf(id));
    asked.onEvent({ type: 'check-started', check: name, id });
    const result = await sandbox.run(
      {
        tree,
        command: [...environment.runner, check.command],
        env: environment.env,
        ...{ allowNetwork, storePaths, limits },
        onOutput: (chunk) => log.write(chunk),
      },
      signal,
    );
    const { tail, fault } = await log.close();
    if (fault !== null) {
      const message = `the log of the check ${name} is not whole: ${fault}`;
      asked.onEvent({ type: 'notice', level: 'warning', message });
    }
    const ending = endingOf(result, limits);
    return { ...ending, reason: ending.reason === null ? null : wordsOf(logs, ending.reason), tail };
  } finally {
    await log.close();
  }
};

/** Of what an evaluation says, which may be anything. */
const longestReason = 4000;

const wordsOf = ({ mask }: CheckLogDeps, text: string): string => {
  const masked = mask?.text(text) ?? text;
  return masked.length <= longestReason ? masked : `${masked.slice(0, longestReason).toWellFormed()}…`;
};

const runOnce = async (to: CheckToRun, id: string): Promise<Ended> => {
  const { stage, asked, check, environmentOf, signal } = to;
  const refusal = refusalOf(check);
  if (refusal !== null) return refuse(refusal);
  const environment =
    check.shell === null ? plainEnvironment(asked.programs) : await environmentOf(check.shell, signal);
  if (environment.kind === 'failed') return failBefore(wordsOf(stage.logs, environment.reason));
  const { changeId, rank } = asked;
  return stage.line.run({ changeId, rank }, () => runConfined(to, id, environment), signal);
};

/** What is cut short by somebody who does not want it is cancelled; all else is taken up again. */
const outcomeOfCut = (reason: unknown): CheckOutcome =>
  reason instanceof JudgementStopped && reason.reason === 'not-wanted' ? 'cancelled' : 'interrupted';

const cut = (signal: AbortSignal, reason: string): Ended => ({
  ...failBefore(reason),
  outcome: outcomeOfCut(signal.reason),
});

/** As a run that was kept, whatever ends it. @throws the signal's reason, and what the run throws */
const runAndKeep = async (to: CheckToRun): Promise<JudgedCheck> => {
  const { stage, asked, check, question, signal } = to;
  const { runs, clock } = stage;
  const id = randomUUID();
  await runs.queue({ id, changeId: asked.changeId, name: check.name, question, queuedAtMs: clock() });
  const keep = async ({ tail, ...ending }: Ended): Promise<JudgedCheck> => {
    const { isAnswer, ...told } = ending;
    await runs.end(id, { ...told, isAnswer, outputTail: tail, atMs: clock() });
    const logUrl = tail.length === 0 ? null : stage.logUrlOf(id);
    return { ...told, id, name: check.name, outputTail: tail, logUrl, kept: false };
  };
  let ended: Ended;
  try {
    ended = await runOnce(to, id);
  } catch (error) {
    await keep(cut(signal, signal.aborted ? 'it was ended before its end' : 'the server could not run it'));
    throw error;
  }
  if (!signal.aborted) return keep(ended);
  await keep({ ...cut(signal, 'it was ended before its end'), tail: ended.tail });
  throw signal.reason;
};

/** Only what has answered is kept as an answer. */
const outcomeOf = ({ state }: StoredCheckRun): CheckOutcome =>
  state === 'queued' || state === 'running' ? 'interrupted' : state;

const keepBefore = async (
  { stage, asked, check, question }: CheckToRun,
  answer: StoredCheckRun,
): Promise<JudgedCheck> => {
  const { runs, clock, logUrlOf } = stage;
  const id = randomUUID();
  const run = { id, changeId: asked.changeId, name: check.name, question, queuedAtMs: clock() };
  await runs.keepAnswer(run, answer);
  const { status, reason, durationMs, outputTail, logFile } = answer;
  const logUrl = logFile === null ? null : logUrlOf(id);
  const outcome = outcomeOf(answer);
  return { name: check.name, id, outcome, status, reason, durationMs, outputTail, logUrl, kept: true };
};

const answer = (to: CheckToRun): Promise<JudgedCheck> =>
  askedOnce(to, async () => {
    const { stage, question, check } = to;
    const before =
      refusalOf(check) !== null
        ? null
        : await stage.runs.findAnswer(question, stage.clock() - stage.failureMaxAgeMs);
    return before === null ? runAndKeep(to) : keepBefore(to, before);
  });

const tell = (
  asked: ChecksToRun,
  { name, id, outcome, reason, durationMs, outputTail, kept }: JudgedCheck,
): void => {
  const told = { id, outcome, reason, durationMs, outputTail: [...outputTail], kept };
  asked.onEvent({ type: 'check-finished', check: name, ...told });
};

/** Each shell once, however many checks want it. */
const rememberEnvironments = (environmentOf: ChecksToRun['environmentOf']) => {
  const known = new Map<string, Promise<Environment>>();
  return (shell: ShellWanted, signal: AbortSignal): Promise<Environment> => {
    const key = JSON.stringify(shell);
    const environment = known.get(key) ?? environmentOf(shell, signal);
    known.set(key, environment);
    return environment;
  };
};

/**
 * Resolves when all have ended. That a check does not pass is a result.
 * @throws the signal's reason; DatabaseError, and what evaluating and building a shell throw. Nothing runs any more then
 */
export const runChecks = async (
  stage: CheckStage,
  asked: ChecksToRun,
  signal: AbortSignal,
): Promise<readonly JudgedCheck[]> => {
  const ended = new AbortController();
  const both = AbortSignal.any([signal, ended.signal]);
  const environmentOf = rememberEnvironments(asked.environmentOf);
  const runs = asked.checks.map(async (check) => {
    asked.onEvent({ type: 'check-queued', check: check.name });
    const question = questionOf(check, asked.ground);
    const judged = await answer({ stage, asked, check, question, environmentOf, signal: both });
    tell(asked, judged);
    return judged;
  });
  try {
    return await Promise.all(runs);
  } finally {
    // Where one threw, the others must not go on behind our back.
    ended.abort();
    await Promise.allSettled(runs);
  }
};
