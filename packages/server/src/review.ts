// The composition root of a review: one change, with everything of its own. Names drivers, as server.ts does.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { findNix } from '@eka-ci/nix/installation';
import type { ReviewEvent, ReviewRequest } from '@eka-ci/protocol/review';
import { createNixStoreBuilder } from './builder/nix-store/nix-store-builder.ts';
import { openSqliteDatabase } from './database/kysely/sqlite/sqlite-database.ts';
import { createGitCli } from './git/git-cli/git-cli.ts';
import { createWorkFolder } from './lib/work-folder.ts';
import { type Judgement, type PipelineRequest, runPipeline } from './pipeline/pipeline.ts';
import { wirePipeline } from './pipeline/wire-pipeline.ts';

export interface ReviewDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly onEvent: (event: ReviewEvent) => void;
}

export interface Review extends Judgement {
  /** Where the build logs are kept; null where they are gone. */
  readonly logsDir: string | null;
}

/** Of one log of a review; a build that prints ten times as much is ended. */
const maxLogBytes = 64 * 1024 * 1024;

const requestIn = (folder: string, request: ReviewRequest): PipelineRequest => {
  const { path, base, head, merge, jobs, build, limits, sandbox } = request;
  const { workers, maxMemoryMib, evaluationTimeoutMs } = limits;
  return {
    source: { kind: 'local', path },
    repository: path,
    base,
    head,
    merge,
    jobs,
    build,
    limits: { workers, maxMemoryMib, timeoutMs: evaluationTimeoutMs },
    sandbox,
    folder,
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
      const pipeline = wirePipeline({
        nix,
        git: createGitCli({ env: deps.env }),
        builder: await createNixStoreBuilder(nix),
        database,
        kept: null,
        logs: { folder: logsDir, maxBytes: maxLogBytes },
        slots: { build: request.limits.maxJobs, fixedOutput: 8 },
        limits: request.limits,
        onEvent: deps.onEvent,
        signal,
      });
      const judgement = await runPipeline(pipeline, requestIn(folder.path, request), signal);
      return { ...judgement, logsDir: request.keepLogs };
    } finally {
      await database.close();
    }
  } finally {
    await folder.remove();
  }
};
