// Stage: one job, both trees → two jobsets, evaluated at the same time.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { EvaluationFailure, Jobset } from '@eka-ci/core/evaluation';
import type { EvaluationTarget, Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import { resolveJobFile } from '../config/job-file.ts';
import { type Evaluation, evaluateJob } from './evaluate.ts';
import type { Job } from './jobs.ts';
import type { JudgedJobPair } from './load-jobs.ts';

export interface SideLimits {
  /** Of both sides together. */
  readonly workers: number;
  readonly maxMemoryMib: number;
  readonly timeoutMs: number;
}

export interface EvaluateSidesDeps {
  readonly evaluator: Evaluator;
  readonly limits: SideLimits;
  /** Exported trees. The same folder twice where both are one tree. */
  readonly trees: { readonly base: string; readonly judged: string };
  /** Gets the links that keep the jobsets' derivations from being collected. */
  readonly rootsDir: string;
  readonly onEvent: (event: ReviewEvent) => void;
}

export type EvaluatedSides =
  | {
      readonly kind: 'evaluated';
      readonly base: Jobset;
      readonly judged: Jobset;
      readonly warnings: readonly string[];
    }
  | { readonly kind: 'failed'; readonly failure: EvaluationFailure; readonly warnings: readonly string[] };

type Side = 'base' | 'judged';

const progressIntervalMs = 100;

/** Passes on one progress event every tenth of a second: a reader's eye needs no more. */
const createProgress = (deps: EvaluateSidesDeps, job: string, side: Side) => {
  let last = { evaluated: 0, failed: 0, known: 0 };
  let sentAt = Number.NEGATIVE_INFINITY;
  const send = (done: boolean): void => deps.onEvent({ type: 'evaluating', job, side, ...last, done });
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

const resolveTarget = async (
  tree: string,
  target: EvaluationTarget,
): Promise<EvaluationTarget | { readonly kind: 'refused'; readonly message: string }> => {
  if (target.kind === 'flake') return target;
  const resolved = await resolveJobFile(tree, target.file);
  return resolved.kind === 'refused' ? resolved : { ...target, file: resolved.path };
};

const evaluateSide = async (
  deps: EvaluateSidesDeps,
  { job, side, workers }: { job: Job; side: Side; workers: number },
  signal: AbortSignal,
): Promise<Evaluation> => {
  const tree = deps.trees[side];
  const target = await resolveTarget(tree, job.target);
  if (target.kind === 'refused') {
    const failure = { kind: 'other', message: target.message, position: null } as const;
    return { kind: 'failed', failure, warnings: [] };
  }
  const progress = createProgress(deps, job.name, side);
  const evaluation = await evaluateJob(
    { evaluator: deps.evaluator, onProgress: progress.update },
    {
      job: job.name,
      systems: job.systems,
      request: {
        tree,
        target,
        limits: { ...deps.limits, workers },
        allowImportFromDerivation: false,
        allowNetwork: false,
        sandbox: 'preferred',
        rootsDir: join(deps.rootsDir, randomUUID()),
      },
    },
    signal,
  );
  progress.finish();
  return evaluation;
};

const isSameQuestion = (deps: EvaluateSidesDeps, { base, judged }: JudgedJobPair): boolean =>
  deps.trees.base === deps.trees.judged && JSON.stringify(base) === JSON.stringify(judged);

const emptyBase = (job: string, failure: EvaluationFailure): { jobset: Jobset; warnings: string[] } => ({
  jobset: { job, records: [] },
  warnings: [`The base does not evaluate (${failure.message}): every package counts as added.`],
});

const combine = (job: string, base: Evaluation | null, judged: Evaluation): EvaluatedSides => {
  const warnings = [...new Set([...(base?.warnings ?? []), ...judged.warnings])];
  if (judged.kind === 'failed') return { kind: 'failed', failure: judged.failure, warnings };
  if (base === null)
    return { kind: 'evaluated', base: { job, records: [] }, judged: judged.jobset, warnings };
  if (base.kind === 'complete')
    return { kind: 'evaluated', base: base.jobset, judged: judged.jobset, warnings };
  const empty = emptyBase(job, base.failure);
  return {
    kind: 'evaluated',
    base: empty.jobset,
    judged: judged.jobset,
    warnings: [...warnings, ...empty.warnings],
  };
};

/** @throws the signal's reason when it aborts; StartError when the evaluator cannot be started */
export const evaluateSides = async (
  deps: EvaluateSidesDeps,
  pair: JudgedJobPair,
  signal: AbortSignal,
): Promise<EvaluatedSides> => {
  const { workers } = deps.limits;
  if (pair.base === null || isSameQuestion(deps, pair)) {
    const judged = await evaluateSide(deps, { job: pair.judged, side: 'judged', workers }, signal);
    return combine(pair.name, pair.base === null ? null : judged, judged);
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
    return combine(pair.name, base, judged);
  } finally {
    // Where one side threw, the other must not go on behind our back.
    ended.abort();
    await Promise.allSettled(sides);
  }
};
