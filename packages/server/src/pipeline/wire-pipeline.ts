// Puts the pipeline of one judgement together from parts that live longer than it.
import { compareVersions, splitDrvName } from '@eka-ci/nix/drv-name';
import { chooseEvaluator } from '@eka-ci/nix/evaluator/choose-evaluator';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { createStoreQueries, type StoreQueries, type StoreQueryOptions } from '@eka-ci/nix/store-queries';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import type { Builder } from '../builder/builder.ts';
import type { Database } from '../database/database.ts';
import type { Git } from '../git/git.ts';
import type { BuildStage } from './builds/build.ts';
import type { LiveBuilds } from './builds/live-builds.ts';
import { createOutputRoots } from './builds/output-roots.ts';
import { createRecorder, type RecorderDeps } from './builds/record.ts';
import type { Slots } from './builds/schedule.ts';
import type { StartGate } from './builds/start-gate.ts';
import type { KeptJobsets } from './kept-jobsets.ts';
import type { PipelineDeps } from './pipeline.ts';

export interface PipelineParts {
  readonly nix: NixInstallation;
  readonly git: Git;
  readonly builder: Builder;
  /** @default a process of Nix for each question */
  readonly queries?: (options: StoreQueryOptions) => StoreQueries;
  readonly database: Database;
  readonly kept: KeptJobsets | null;
  readonly logs: BuildStage['logs'];
  readonly slots: Slots;
  readonly limits: { readonly silenceTimeoutMs: number; readonly maxDurationMs: number };
  readonly live?: LiveBuilds;
  /** While it is shut no evaluation and no build begins. @default always open */
  readonly gate?: StartGate;
  /** Called when none of the builds runs and the gate holds the rest back. It may abort the signal. */
  readonly onRanDry?: () => void;
  /** Where each judgement gets a folder of roots for its outputs; without it they are not kept. */
  readonly outputRootsDir?: string;
  /** Told of transitions of builds that are on disk. Must not throw. */
  readonly onRecorded?: RecorderDeps['onRecorded'];
  readonly onEvent: (event: ReviewEvent) => void;
  readonly signal: AbortSignal;
}

/** The pipeline of one judgement, which ends with the signal. */
export const wirePipeline = (parts: PipelineParts): PipelineDeps => {
  const { nix, git, builder, database, kept, logs, slots, limits, live, onEvent, signal } = parts;
  const { gate, onRanDry, outputRootsDir, onRecorded } = parts;
  const { queries = (options) => createStoreQueries(nix, options) } = parts;
  return {
    git,
    evaluator: chooseEvaluator(nix),
    database,
    kept,
    builds: {
      builder,
      recorder: createRecorder({
        database,
        clock: Date.now,
        ...(onRecorded === undefined ? {} : { onRecorded }),
      }),
      records: database,
      store: queries({ signal }),
      slots,
      limits: { ...limits, maxLogBytes: 10 * logs.maxBytes },
      logs,
      onEvent,
      ...(live === undefined ? {} : { live }),
      ...(gate === undefined ? {} : { gate }),
      ...(onRanDry === undefined ? {} : { onRanDry }),
      ...(outputRootsDir === undefined ? {} : { outputRoots: createOutputRoots(nix, outputRootsDir) }),
    },
    nameRules: { splitName: splitDrvName, compareVersions },
    nix,
    system: builder.systems[0] ?? 'x86_64-linux',
    onEvent,
  };
};
