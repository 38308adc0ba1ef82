// The checks of one change, with what its judgement has at hand: its tree, its evaluator, its builds.
import { join } from 'node:path';
import { buildClasses } from '@eka-ci/core/build-order';
import type { JudgedCheck } from '@eka-ci/core/check-outcome';
import type { CommitSha, DrvPath, TreeSha } from '@eka-ci/core/ids';
import type { EvaluationTarget, Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import type { BuildEnding } from '@eka-ci/protocol/build-request';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import type { Database } from '../../database/database.ts';
import type { BuildStage } from '../builds/build.ts';
import { buildDerivation } from '../builds/build-derivation.ts';
import { type StartGate, untilOpen } from '../builds/start-gate.ts';
import { type Evaluation, evaluateJob } from '../evaluate.ts';
import { type EvaluateSidesDeps, evaluationRules } from '../evaluate-sides.ts';
import type { EvaluationLine } from '../evaluation-line.ts';
import { createShellRoom } from '../evaluation-room.ts';
import type { SharedGraph } from '../graph/shared-graph.ts';
import { type AskedCheck, describeLessTime, withinTime, withoutNetwork } from './asked-checks.ts';
import { type CheckStage, type ChecksToRun, runChecks } from './run-checks.ts';
import { type ShellDeps, shellEnvironment } from './shell-environment.ts';

/** As of PipelineDeps. */
export interface JudgeChecksDeps {
  readonly database: Pick<Database, 'builds'>;
  readonly evaluator: Evaluator;
  readonly evaluations: EvaluationLine;
  readonly builds: BuildStage;
  readonly gate: StartGate;
  readonly graph: Pick<SharedGraph, 'lease'>;
  readonly nix: { readonly version: string; readonly storeDir: string };
  readonly system: string;
  /** Null or absent: none is run, and the summary says so. */
  readonly checks?: CheckStage | null;
  readonly onEvent: (event: ReviewEvent) => void;
}

export interface ChecksOfChange {
  /** As of PipelineRequest. */
  readonly request: {
    readonly id: string;
    /** False: nothing is built, so no shell, and nothing is run. */
    readonly build: boolean;
    /** @default false */
    readonly allowNetwork?: boolean;
    /** The server's own word on the network of checks. @default false */
    readonly allowCheckNetwork?: boolean;
    readonly limits: EvaluateSidesDeps['limits'];
    readonly sandbox: EvaluateSidesDeps['sandbox'];
    /** Of the judgement: what is put there goes with it. */
    readonly folder: string;
  };
  readonly checkout: {
    readonly judgedTree: TreeSha;
    /** `committedAt`: milliseconds since 1970. */
    readonly head: { readonly sha: CommitSha; readonly committedAt: number };
  };
  readonly jobs: { readonly checks: readonly AskedCheck[] };
  readonly exportTree: EvaluateSidesDeps['exportTree'];
  /** Has what the tree locks in the store. */
  readonly prefetch: EvaluateSidesDeps['prefetch'];
}

export interface CheckedChange {
  readonly checks: readonly JudgedCheck[];
  /** Sentences for the summary. */
  readonly warnings: readonly string[];
}

const waitUntilOpen =
  ({ gate, onEvent }: JudgeChecksDeps) =>
  (what: string, signal: AbortSignal): Promise<void> =>
    untilOpen(gate, signal, (reason) =>
      onEvent({ type: 'notice', level: 'warning', message: `${what} waits: ${reason}` }),
    );

const evaluateShell =
  (deps: JudgeChecksDeps, change: ChecksOfChange) =>
  (target: EvaluationTarget, signal: AbortSignal): Promise<Evaluation> =>
    deps.evaluations.run(
      deps.builds.purpose,
      async () => {
        await waitUntilOpen(deps)('the evaluation of a development shell', signal);
        const { allowNetwork = false, limits, sandbox, folder } = change.request;
        await change.prefetch('judged', signal);
        const tree = await change.exportTree('judged');
        const request = {
          ...evaluationRules,
          ...{ tree, target, limits: { ...limits, workers: 1 }, allowNetwork, sandbox },
          rootsDir: join(folder, 'shell-roots'),
        };
        const evaluation = { job: 'development shell', systems: null, request };
        const room = createShellRoom();
        return evaluateJob({ evaluator: deps.evaluator, onProgress: () => {}, room }, evaluation, signal);
      },
      signal,
    );

/** Beside the builds of the change, and in their class; they are not counted among them. */
const buildShell =
  ({ database, builds, graph, onEvent }: JudgeChecksDeps, { failureMaxAgeMs, clock }: CheckStage) =>
  (drv: DrvPath, signal: AbortSignal): Promise<BuildEnding> =>
    buildDerivation(
      {
        database,
        graph,
        builds: {
          ...builds,
          onEvent: (event) => {
            if (event.type === 'notice') onEvent(event);
          },
        },
        failureAge: () => ({ nowMs: clock(), maxAgeMs: failureMaxAgeMs }),
      },
      { drv, force: false, rebuildAll: false },
      signal,
    );

const toRun = async (
  deps: JudgeChecksDeps,
  stage: CheckStage,
  { change, signal }: { readonly change: ChecksOfChange; readonly signal: AbortSignal },
): Promise<ChecksToRun> => {
  const { limits, maxTimeoutMs } = stage;
  const { system, nix } = deps;
  const programs = await stage.system.programs(signal);
  const { request, checkout, jobs, exportTree } = change;
  const { sha: rev, committedAt } = checkout.head;
  const shells: ShellDeps = {
    evaluate: evaluateShell(deps, change),
    build: buildShell(deps, stage),
    commit: { rev, lastModified: Math.floor(committedAt / 1000) },
    ...{ system, programs, storeDir: nix.storeDir },
    keep: (path) => stage.keepPath(path, join(request.folder, 'shell-roots')),
    closureOf: (paths) => deps.builds.store.queryClosure(paths),
  };
  const tree = checkout.judgedTree;
  const checks = jobs.checks
    .map((check) => (request.allowCheckNetwork === true ? check : withoutNetwork(check)))
    .map((check) => withinTime(check, maxTimeoutMs));
  return {
    ...{ changeId: request.id, checks, programs, onEvent: deps.onEvent },
    rank: buildClasses.indexOf(deps.builds.purpose.class),
    ground: { tree, rev, system, nixVersion: nix.version, searchPath: programs.searchPath, limits },
    exportTree: () => exportTree('judged'),
    environmentOf: (shell, signal) => shellEnvironment(shells, shell, signal),
    untilOpen: (check, signal) => waitUntilOpen(deps)(`the check ${check}`, signal),
  };
};

const notRun = (checks: readonly AskedCheck[], why: string): CheckedChange => {
  const names = checks.map(({ name }) => name).join(', ');
  return { checks: [], warnings: checks.length === 0 ? [] : [`Not run ${why}: the checks ${names}.`] };
};

/** @throws as runChecks */
export const judgeChecks = async (
  deps: JudgeChecksDeps,
  change: ChecksOfChange,
  signal: AbortSignal,
): Promise<CheckedChange> => {
  const { checks: stage = null } = deps;
  const { checks } = change.jobs;
  if (!change.request.build) return notRun(checks, 'where nothing is built');
  if (stage === null) return notRun(checks, 'by this server');
  if (checks.length === 0) return { checks: [], warnings: [] };
  const lessTime = describeLessTime(checks, stage.maxTimeoutMs);
  const asked = await toRun(deps, stage, { change, signal });
  return {
    checks: await runChecks(stage, asked, signal),
    warnings: lessTime === null ? [] : [lessTime],
  };
};
