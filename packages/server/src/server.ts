// The composition root: the only file that names drivers.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareVersions, splitDrvName } from '@eka-ci/nix/drv-name';
import { chooseEvaluator } from '@eka-ci/nix/evaluator/choose-evaluator';
import { findNix, type NixInstallation } from '@eka-ci/nix/installation';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import type { ReviewEvent, ReviewRequest } from '@eka-ci/protocol/review';
import { createNixStoreBuilder } from './builder/nix-store/nix-store-builder.ts';
import type { Database } from './database/database.ts';
import { openSqliteDatabase } from './database/kysely/sqlite/sqlite-database.ts';
import { createGitCli } from './git/git-cli/git-cli.ts';
import { createWorkFolder } from './lib/work-folder.ts';
import { type Judgement, type PipelineDeps, runPipeline } from './pipeline/pipeline.ts';
import { createRecorder } from './pipeline/record.ts';

export interface ReviewDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly onEvent: (event: ReviewEvent) => void;
}

export interface Review extends Judgement {
  /** Where the build logs are kept; null where they are gone. */
  readonly logsDir: string | null;
}

/** Of one kept log; a build that prints ten times as much is ended. */
const maxLogBytes = 64 * 1024 * 1024;

interface Parts {
  readonly nix: NixInstallation;
  readonly database: Database;
  readonly logsDir: string;
  readonly request: ReviewRequest;
  readonly deps: ReviewDeps;
  readonly signal: AbortSignal;
}

const wirePipeline = async (parts: Parts): Promise<PipelineDeps> => {
  const { nix, database, logsDir, request, deps, signal } = parts;
  const { limits } = request;
  const builder = await createNixStoreBuilder(nix);
  return {
    git: createGitCli({ env: deps.env }),
    evaluator: chooseEvaluator(nix),
    database,
    builds: {
      builder,
      recorder: createRecorder({ database, clock: Date.now }),
      store: createStoreQueries(nix, { signal }),
      slots: { build: limits.maxJobs, fixedOutput: 8 },
      limits: {
        silenceTimeoutMs: limits.silenceTimeoutMs,
        maxDurationMs: limits.maxDurationMs,
        maxLogBytes: 10 * maxLogBytes,
      },
      logs: { folder: logsDir, maxBytes: maxLogBytes },
      onEvent: deps.onEvent,
    },
    nameRules: { splitName: splitDrvName, compareVersions },
    nix,
    system: builder.systems[0] ?? 'x86_64-linux',
    onEvent: deps.onEvent,
  };
};

/**
 * Judges one change with a database, logs and trees of its own, all gone afterwards but the logs that are asked for.
 * @throws what the pipeline throws; NixNotFoundError; the signal's reason when it aborts
 */
export const reviewOnce = async (
  deps: ReviewDeps,
  request: ReviewRequest,
  signal: AbortSignal,
): Promise<Review> => {
  const nix = await findNix(deps.env);
  const folder = await createWorkFolder('ekaci-review-');
  try {
    // Where logs are to be kept they are written from the start: they outlive whatever goes wrong later.
    const logsDir = request.keepLogs ?? join(folder.path, 'logs');
    await mkdir(logsDir, { recursive: true });
    const database = await openSqliteDatabase({
      path: join(folder.path, 'review.db'),
      durability: 'process-death',
    });
    try {
      const pipeline = await wirePipeline({ nix, database, logsDir, request, deps, signal });
      const { base, head, merge, jobs, build } = request;
      const { workers, maxMemoryMib, evaluationTimeoutMs } = request.limits;
      const judgement = await runPipeline(
        pipeline,
        {
          source: { kind: 'local', path: request.path },
          repository: request.path,
          base,
          head,
          merge,
          jobs,
          build,
          limits: { workers, maxMemoryMib, timeoutMs: evaluationTimeoutMs },
          folder: folder.path,
        },
        signal,
      );
      return { ...judgement, logsDir: request.keepLogs };
    } finally {
      await database.close();
    }
  } finally {
    await folder.remove();
  }
};
