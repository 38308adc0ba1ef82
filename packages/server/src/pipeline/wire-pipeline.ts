// Puts the pipeline of one judgement together from parts that live longer than it.
import { compareVersions, splitDrvName } from '@eka-ci/nix/drv-name';
import { chooseEvaluator } from '@eka-ci/nix/evaluator/choose-evaluator';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import type { ReviewEvent } from '@eka-ci/protocol/review';
import type { Builder } from '../builder/builder.ts';
import type { Database } from '../database/database.ts';
import type { Git } from '../git/git.ts';
import type { BuildStage } from './build.ts';
import type { KeptJobsets } from './kept-jobsets.ts';
import type { LiveBuilds } from './live-builds.ts';
import type { PipelineDeps } from './pipeline.ts';
import { createRecorder } from './record.ts';
import type { Slots } from './schedule.ts';

export interface PipelineParts {
  readonly nix: NixInstallation;
  readonly git: Git;
  readonly builder: Builder;
  readonly database: Database;
  readonly kept: KeptJobsets | null;
  readonly logs: BuildStage['logs'];
  readonly slots: Slots;
  readonly limits: { readonly silenceTimeoutMs: number; readonly maxDurationMs: number };
  readonly live?: LiveBuilds;
  readonly onEvent: (event: ReviewEvent) => void;
  readonly signal: AbortSignal;
}

/** The pipeline of one judgement, which ends with the signal. */
export const wirePipeline = (parts: PipelineParts): PipelineDeps => {
  const { nix, git, builder, database, kept, logs, slots, limits, live, onEvent, signal } = parts;
  return {
    git,
    evaluator: chooseEvaluator(nix),
    database,
    kept,
    builds: {
      builder,
      recorder: createRecorder({ database, clock: Date.now }),
      store: createStoreQueries(nix, { signal }),
      slots,
      limits: { ...limits, maxLogBytes: 10 * logs.maxBytes },
      logs,
      onEvent,
      ...(live === undefined ? {} : { live }),
    },
    nameRules: { splitName: splitDrvName, compareVersions },
    nix,
    system: builder.systems[0] ?? 'x86_64-linux',
    onEvent,
  };
};
