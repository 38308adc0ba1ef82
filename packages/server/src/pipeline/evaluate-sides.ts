// Stage: one job, both trees → two jobsets, evaluated at the same time.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { TreeSha } from '@eka-ci/core/ids';
import type { EvaluationRequest, EvaluationTarget, Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { resolveJobFile } from '../config/job-file.ts';
import { type StartGate, untilOpen } from './builds/start-gate.ts';
import { type CombinedSides, combineSides } from './combine-sides.ts';
import { type Evaluation, evaluateJob } from './evaluate.ts';
import type { EvaluationRoom } from './evaluation-room.ts';
import type { Job } from './jobs.ts';
import type { JobsetQuestion, KeptJobsets } from './kept-jobsets.ts';
import type { JudgedJobPair } from './load-jobs.ts';

export interface SideLimits {
  /** Of both sides together. */
  readonly workers: number;
  readonly maxMemoryMib: number;
  readonly timeoutMs: number;
}

export type Side = 'base' | 'judged';

export interface EvaluateSidesDeps {
  readonly evaluator: Evaluator;
  readonly limits: SideLimits;
  /** Of all jobs of the change, for what is evaluated and for what was kept. */
  readonly rooms: Readonly<Record<Side, EvaluationRoom>>;
  /** Exports a tree where nobody has asked for it yet, and gives its folder. */
  readonly exportTree: (side: Side) => Promise<string>;
  /** Has what that tree locks in the store, where its evaluation could not fetch it, and says what is missing. */
  readonly prefetch: (side: Side, signal: AbortSignal) => Promise<readonly string[]>;
  /** What no lock names may be fetched, while it is evaluated. */
  readonly allowNetwork: boolean;
  /** Of those folders. */
  readonly treeShas: { readonly base: TreeSha; readonly judged: TreeSha };
  /** `preferred`: where there are no namespaces, evaluate unconfined with a warning. For trusted authors only. */
  readonly sandbox: EvaluationRequest['sandbox'];
  /** Gets the links that keep the jobsets' derivations from being collected. */
  readonly rootsDir: string;
  /** Jobsets of earlier evaluations; null where none are kept. */
  readonly kept: KeptJobsets | null;
  /** While it is shut no evaluation begins. */
  readonly gate: StartGate;
  readonly onEvent: (event: ReviewEvent) => void;
}

const progressIntervalMs = 100;

/** Passes on one progress event every tenth of a second: a reader's eye needs no more. */
const createProgress = (deps: EvaluateSidesDeps, job: string, side: Side) => {
  let last = { evaluated: 0, failed: 0, known: 0 };
  let sentAt = Number.NEGATIVE_INFINITY;
  const send = (done: boolean): void => deps.onEvent({ type: 'evaluating', job, side, ...last, done });
  // So whoever counts knows that it begins, for the second time, too.
  send(false);
  return {
    update: ({ evaluated, failed, known }: typeof last): void => {
      last = { evaluated, failed, known };
      if (performance.now() - sentAt < progressIntervalMs) return;
      sentAt = performance.now();
      send(false);
    },
    finish: (): void => send(true),
  };
};

/** What every evaluation of a change is allowed. */
export const evaluationRules = {
  allowImportFromDerivation: false,
  allowNetwork: false,
} as const;

const resolveTarget = async (
  tree: string,
  target: EvaluationTarget,
): Promise<EvaluationTarget | { readonly kind: 'refused'; readonly message: string }> => {
  if (target.kind === 'flake') return target;
  const resolved = await resolveJobFile(tree, target.file);
  return resolved.kind === 'refused' ? resolved : { ...target, file: resolved.path };
};

interface SideToEvaluate {
  readonly job: Job;
  readonly side: Side;
  readonly workers: number;
}

/** What could not be fetched concerns nobody who did not need it. */
const lackedNetwork = (evaluation: Evaluation): boolean =>
  evaluation.kind === 'failed'
    ? evaluation.failure.kind === 'network'
    : evaluation.jobset.records.some(
        (record) => record.kind === 'failed' && record.failure.kind === 'network',
      );

const evaluateTree = async (
  deps: EvaluateSidesDeps,
  { job, side, workers, rootsDir }: SideToEvaluate & { readonly rootsDir: string },
  signal: AbortSignal,
): Promise<Evaluation> => {
  await untilOpen(deps.gate, signal, (reason) => {
    const message = `the evaluation of ${job.name} (${side}) waits: ${reason}`;
    deps.onEvent({ type: 'notice', level: 'warning', message });
  });
  const tree = await deps.exportTree(side);
  const target = await resolveTarget(tree, job.target);
  if (target.kind === 'refused') {
    const failure = { kind: 'other', message: target.message, position: null } as const;
    return { kind: 'failed', failure, warnings: [] };
  }
  const missing = await deps.prefetch(side, signal);
  const progress = createProgress(deps, job.name, side);
  const evaluation = await evaluateJob(
    { evaluator: deps.evaluator, onProgress: progress.update, room: deps.rooms[side] },
    {
      job: job.name,
      systems: job.systems,
      request: {
        tree,
        target,
        limits: { ...deps.limits, workers },
        ...evaluationRules,
        allowNetwork: deps.allowNetwork,
        sandbox: deps.sandbox,
        rootsDir,
      },
    },
    signal,
  );
  progress.finish();
  return lackedNetwork(evaluation)
    ? { ...evaluation, warnings: [...missing, ...evaluation.warnings] }
    : evaluation;
};

/** As `evaluateTree`, unless the same question was answered before. */
const evaluateSide = async (
  deps: EvaluateSidesDeps,
  { job, side, workers }: SideToEvaluate,
  signal: AbortSignal,
): Promise<Evaluation> => {
  const { kept, limits, evaluator } = deps;
  if (kept === null) {
    const rootsDir = join(deps.rootsDir, randomUUID());
    return evaluateTree(deps, { job, side, workers, rootsDir }, signal);
  }
  const question: JobsetQuestion = {
    tree: deps.treeShas[side],
    job,
    evaluator: evaluator.name,
    settings: {
      ...{ ...evaluationRules, allowNetwork: deps.allowNetwork },
      ...{ maxMemoryMib: limits.maxMemoryMib, timeoutMs: limits.timeoutMs },
    },
  };
  const known = await kept.find(question, deps.rooms[side]);
  if (known !== null) return known;
  const rootsDir = await kept.prepareRoots(question);
  const evaluation = await evaluateTree(deps, { job, side, workers, rootsDir }, signal);
  if (evaluation.kind === 'complete') await kept.keep(question, evaluation.jobset);
  return evaluation;
};

const isSameQuestion = (deps: EvaluateSidesDeps, { base, judged }: JudgedJobPair): boolean =>
  deps.treeShas.base === deps.treeShas.judged && JSON.stringify(base) === JSON.stringify(judged);

/** @throws the signal's reason when it aborts; StartError when the evaluator cannot be started */
export const evaluateSides = async (
  deps: EvaluateSidesDeps,
  pair: JudgedJobPair,
  signal: AbortSignal,
): Promise<CombinedSides> => {
  const { workers } = deps.limits;
  if (pair.base === null || isSameQuestion(deps, pair)) {
    const judged = await evaluateSide(deps, { job: pair.judged, side: 'judged', workers }, signal);
    return combineSides(pair.name, pair.base === null ? null : judged, judged);
  }
  const share = Math.max(1, Math.floor(workers / 2));
  const ended = new AbortController();
  const both = AbortSignal.any([signal, ended.signal]);
  const sides = [
    evaluateSide(deps, { job: pair.base, side: 'base', workers: share }, both),
    evaluateSide(deps, { job: pair.judged, side: 'judged', workers: share }, both),
  ] as const;
  try {
    const [base, judged] = await Promise.all(sides);
    return combineSides(pair.name, base, judged);
  } finally {
    // Where one side threw, the other must not go on behind our back.
    ended.abort();
    await Promise.allSettled(sides);
  }
};
