// The composition root of the server: with review.ts the only file that names drivers.
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { chooseEvaluator } from '@eka-ci/nix/evaluator/choose-evaluator';
import { findNix, type NixInstallation } from '@eka-ci/nix/installation';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import { createNixStoreBuilder } from './builder/nix-store/nix-store-builder.ts';
import type { Database } from './database/database.ts';
import { openSqliteDatabase } from './database/kysely/sqlite/sqlite-database.ts';
import type { ForgeRepository } from './forge/forge.ts';
import { createGitForge } from './forge/git/git-forge.ts';
import { createGitCli } from './git/git-cli/git-cli.ts';
import { createHttpApp, type HttpDeps } from './http/app.ts';
import { type Listening, type ListenOptions, listen } from './http/listen.ts';
import type { Logger } from './lib/logger.ts';
import type { BuildStage } from './pipeline/build.ts';
import { type ChangeCounts, createChangeCounts } from './pipeline/change-counts.ts';
import type { SideLimits } from './pipeline/evaluate-sides.ts';
import { resumeDeliveries, takeListing } from './pipeline/intake.ts';
import { type JudgeLoop, startJudgeLoop } from './pipeline/judge-loop.ts';
import { type JudgeChangeDeps, judgeStoredChange } from './pipeline/judge-stored-change.ts';
import { createKeptJobsets, removeOldRoots } from './pipeline/kept-jobsets.ts';
import { createLiveBuilds } from './pipeline/live-builds.ts';
import { createRecorder } from './pipeline/record.ts';
import { recoverBuilds } from './pipeline/recover.ts';
import { sourceOf } from './pipeline/repository-source.ts';
import type { Slots } from './pipeline/schedule.ts';
import { createForgeLog, createJudgeLog } from './pipeline/server-log.ts';
import { type PipelineParts, wirePipeline } from './pipeline/wire-pipeline.ts';

/** What a server is told; commands/serve.ts makes it of the configuration. */
export interface ServerOptions {
  /** Of EkaCI. */
  readonly version: string;
  /** The database; mirrors and roots lie beside it. */
  readonly dbPath: string;
  readonly logs: BuildStage['logs'];
  readonly repositories: readonly ForgeRepository[];
  readonly slots: Slots;
  readonly buildLimits: PipelineParts['limits'];
  readonly evaluationLimits: SideLimits;
  /** How long derivations of kept jobsets stay rooted. */
  readonly rootsMaxAgeMs: number;
  readonly listen: ListenOptions;
  readonly http: HttpDeps['options'];
}

export interface ServerDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly loggerFor: (target: string) => Logger;
}

export interface RunningServer {
  readonly listening: Pick<Listening, 'tcp' | 'socketPath'>;
  /** Ends all: a judgement that runs is queued again. Idempotent. */
  stop(): Promise<void>;
}

interface Opened {
  readonly options: ServerOptions;
  readonly deps: ServerDeps;
  readonly nix: NixInstallation;
  readonly database: Database;
}

/** Its owner name is the same after a restart: this database has no other server. */
const leaseOwner = 'server';

const openParts = async ({ options, deps, nix, database }: Opened) => {
  const stateDir = dirname(options.dbPath);
  const rootsDir = join(stateDir, 'roots');
  for (const folder of [options.logs.folder, join(stateDir, 'mirrors'), rootsDir]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  }
  await removeOldRoots(rootsDir, { maxAgeMs: options.rootsMaxAgeMs, nowMs: Date.now() });
  return {
    nix,
    database,
    git: createGitCli({ env: deps.env }),
    builder: await createNixStoreBuilder(nix),
    kept: createKeptJobsets({ database, nix, rootsDir, clock: Date.now }),
    live: createLiveBuilds(Date.now),
    logs: options.logs,
    slots: options.slots,
    limits: options.buildLimits,
    mirrorsDir: join(stateDir, 'mirrors'),
  };
};

type OpenedParts = Awaited<ReturnType<typeof openParts>>;

/** Nothing else is at work yet: what the server's earlier life left is settled first. */
const takeUpAgain = async ({ database, nix }: OpenedParts, logger: Logger): Promise<void> => {
  const requeued = await database.changes.releaseAll(leaseOwner, Date.now());
  const recorder = createRecorder({ database, clock: Date.now });
  const builds = await recoverBuilds({ database, recorder, store: createStoreQueries(nix) });
  const { queued } = await resumeDeliveries({ database, clock: Date.now });
  if (requeued + builds.succeeded + builds.interrupted + queued.length === 0) return;
  logger.info('took up again what the last server left', { requeued, builds, queued: queued.length });
};

const startJudging = (parts: OpenedParts, { options, deps }: Opened, counts: ChangeCounts): JudgeLoop => {
  const log = createJudgeLog(deps.loggerFor);
  const judgeDeps: JudgeChangeDeps = {
    repositories: options.repositories,
    pipelineFor: (signal, onEvent) => wirePipeline({ ...parts, signal, onEvent }),
    limits: options.evaluationLimits,
    mirrorsDir: parts.mirrorsDir,
    onEvent: log.progress,
  };
  return startJudgeLoop({
    database: parts.database,
    judge: (change, signal) => judgeStoredChange(judgeDeps, change, signal),
    owner: leaseOwner,
    clock: Date.now,
    onEvent: (event) => {
      log.judging(event);
      counts.refresh();
    },
  });
};

const openHttp = async (parts: OpenedParts, { options, deps }: Opened, facts: ServerFacts) => {
  const { nix, database, builder, live, logs, slots } = parts;
  const logger = deps.loggerFor('http');
  const app = await createHttpApp({
    database,
    logsDir: logs.folder,
    storeDir: nix.storeDir,
    version: options.version,
    builds: live,
    status: () => ({
      startedAtMs: facts.startedAtMs,
      nixVersion: nix.version,
      evaluator: `${chooseEvaluator(nix).name} (Nix ${nix.version})`,
      systems: builder.systems,
      draining: facts.phase === 'ending',
      builds: { slots: slots.build + slots.fixedOutput },
      changes: facts.counts.now(),
    }),
    isReady: () => facts.phase === 'serving',
    findRepository: ({ forge, owner, name }) =>
      options.repositories.find((one) => forge === 'git' && one.name === `${owner}/${name}`)?.name ?? null,
    clock: Date.now,
    onFault: ({ error, method, route }) => logger.error('a request failed', { method, route, err: error }),
    options: options.http,
  });
  return listen(app, options.listen);
};

interface ServerFacts {
  readonly startedAtMs: number;
  readonly counts: ChangeCounts;
  phase: 'starting' | 'serving' | 'ending';
}

const runServer = async (opened: Opened): Promise<RunningServer> => {
  const { options, deps, database } = opened;
  const logger = deps.loggerFor('scheduler');
  const parts = await openParts(opened);
  const counts = createChangeCounts(database);
  const facts: ServerFacts = { startedAtMs: Date.now(), counts, phase: 'starting' };
  const listening = await openHttp(parts, opened, facts);
  try {
    await takeUpAgain(parts, logger);
  } catch (error) {
    await listening.close();
    throw error;
  }
  const loop = startJudging(parts, opened, counts);
  const ending = new AbortController();
  const forge = createGitForge({
    repositories: options.repositories,
    listBranches: (url, signal) => parts.git.listBranches(sourceOf(url), signal),
    clock: Date.now,
    onStatus: createForgeLog(deps.loggerFor('forge')),
  });
  const watching = forge.watch(async (listing) => {
    const taken = await takeListing({ database, clock: Date.now }, listing);
    loop.cancel(taken.ended);
    if (taken.queued.length + taken.ended.length === 0) return;
    loop.wake();
    counts.refresh();
  }, ending.signal);
  facts.phase = 'serving';
  const stop = async (): Promise<void> => {
    facts.phase = 'ending';
    ending.abort();
    await Promise.all([watching, loop.stop()]);
    await listening.close();
    await counts.settled();
    await database.close();
  };
  let stopped: Promise<void> | null = null;
  return { listening, stop: () => (stopped ??= stop()) };
};

/**
 * Opens everything and serves until it is stopped.
 * @throws NixNotFoundError, DatabaseError, ListenError, StoreQueryError; nothing is left open then
 */
export const startServer = async (options: ServerOptions, deps: ServerDeps): Promise<RunningServer> => {
  const nix = await findNix(deps.env);
  const database = await openSqliteDatabase({ path: options.dbPath, durability: 'power-loss' });
  try {
    return await runServer({ options, deps, nix, database });
  } catch (error) {
    await database.close();
    throw error;
  }
};
