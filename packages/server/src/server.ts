// The composition root of the server: the only file that names drivers.
import { mkdir } from 'node:fs/promises';
import { chooseEvaluator } from '@eka-ci/nix/evaluator/choose-evaluator';
import { findNix, type NixInstallation } from '@eka-ci/nix/installation';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import { type OpenDaemon, openNixDaemon } from './builder/nix-daemon/open-daemon.ts';
import { createNixStoreBuilder } from './builder/nix-store/nix-store-builder.ts';
import type { Secret } from './config/secret.ts';
import type { Database, RecordedTransition } from './database/database.ts';
import { openSqliteDatabase } from './database/kysely/sqlite/sqlite-database.ts';
import type { Forge, ForgeRepository } from './forge/forge.ts';
import { createGitForge } from './forge/git/git-forge.ts';
import { createGitCli } from './git/git-cli/git-cli.ts';
import { removeStaleLocks } from './git/git-cli/stale-locks.ts';
import { createHttpApp, type HttpDeps } from './http/app.ts';
import { type Listening, type ListenOptions, listen } from './http/listen.ts';
import { createLiveConnections } from './http/live/live-connections.ts';
import { createOperatorActions } from './http/operator-actions.ts';
import { createWorkMetrics } from './http/work-metrics.ts';
import type { Logger } from './lib/logger.ts';
import { createSecretMask } from './lib/secret-mask.ts';
import { removeTree } from './lib/work-folder.ts';
import type { BuildStage } from './pipeline/builds/build.ts';
import { buildDerivation } from './pipeline/builds/build-derivation.ts';
import { createLiveBuilds } from './pipeline/builds/live-builds.ts';
import { createLogCompression } from './pipeline/builds/log-compression.ts';
import { createOrderedBuilds, type OrderedBuilds } from './pipeline/builds/ordered-builds.ts';
import { createRecorder } from './pipeline/builds/record.ts';
import { recoverBuilds } from './pipeline/builds/recover.ts';
import type { Slots } from './pipeline/builds/schedule.ts';
import { createStoreLogs } from './pipeline/builds/store-logs.ts';
import { type ChangeCounts, createChangeCounts } from './pipeline/change-counts.ts';
import { createDeliveryLine } from './pipeline/delivery-line.ts';
import type { SideLimits } from './pipeline/evaluate-sides.ts';
import { createFreshness, type Freshness } from './pipeline/freshness.ts';
import { resumeDeliveries, takeListing } from './pipeline/intake.ts';
import { type JudgeLoop, startJudgeLoop } from './pipeline/judge-loop.ts';
import { type JudgeChangeDeps, judgeStoredChange } from './pipeline/judge-stored-change.ts';
import { createKeptJobsets } from './pipeline/kept-jobsets.ts';
import { createLiveFeed, type LiveFeed, type LiveJudgement } from './pipeline/live/live-feed.ts';
import { tellChanges } from './pipeline/live/told-changes.ts';
import type { RebuildPolicy } from './pipeline/rebuild-policy.ts';
import { repositoriesOnWire } from './pipeline/repository-on-wire.ts';
import { sourceOf } from './pipeline/repository-source.ts';
import { createForgeLog, createJudgeLog, createOrderLog } from './pipeline/server-log.ts';
import { createSubmitReview } from './pipeline/submit-review.ts';
import { createDatabaseWatch, type DatabaseWatch } from './pipeline/upkeep/database-watch.ts';
import { createUpkeep, type RetentionAges, stateFolders, type Upkeep } from './pipeline/upkeep/upkeep.ts';
import { createCompressionLog } from './pipeline/upkeep/upkeep-log.ts';
import { type PipelineParts, wirePipeline } from './pipeline/wire-pipeline.ts';

/** What a server is told; commands/serve.ts makes it of the configuration. */
export interface ServerOptions {
  /** Of EkaCI. */
  readonly version: string;
  /** The database; mirrors and roots lie beside it. */
  readonly dbPath: string;
  /** `process-death` is quicker, and enough for what nobody needs after a power failure. */
  readonly durability: 'power-loss' | 'process-death';
  /** False where no later change could use an evaluation again. */
  readonly keepJobsets: boolean;
  readonly logs: Pick<BuildStage['logs'], 'folder' | 'maxBytes'>;
  /** What no log may show; those of fewer than 8 characters are passed over. */
  readonly secrets: readonly Secret[];
  readonly repositories: readonly ForgeRepository[];
  readonly slots: Slots;
  readonly buildLimits: PipelineParts['limits'];
  readonly evaluationLimits: SideLimits;
  readonly rebuild: RebuildPolicy;
  /** Null: nothing is removed, for all goes when the server ends. */
  readonly retention: RetentionAges | null;
  /** No build and no evaluation begins while a disk has less. */
  readonly minFreeBytes: number;
  readonly listen: ListenOptions;
  readonly http: HttpDeps['options'];
}

export interface ServerDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly loggerFor: (target: string) => Logger;
  /** The database does not answer. A server goes on trying; one that nobody can mend may end instead. */
  readonly onDatabaseFault?: (error: unknown) => void;
}

export interface RunningServer {
  readonly listening: Pick<Listening, 'tcp' | 'socketPath'>;
  /** Resolves, with the reason, when the server cannot go on; it is to be stopped then. Never rejects. */
  readonly lost: Promise<unknown>;
  /** Ends all: a judgement that runs is queued again. Idempotent. */
  stop(): Promise<void>;
}

interface Opened {
  readonly options: ServerOptions;
  readonly deps: ServerDeps;
  readonly nix: NixInstallation;
  /** Its changes tell `feed` what moves them. */
  readonly database: Database;
  readonly feed: LiveFeed;
}

const dayMs = 24 * 60 * 60_000;

/** Its owner name is the same after a restart: this database has no other server. */
const leaseOwner = 'server';

/** Through the daemon that Nix itself would use; where it does not answer, by a process for each build and question. */
const openStore = async (
  nix: NixInstallation,
  logger: Logger,
): Promise<Pick<OpenDaemon, 'builder' | 'queries' | 'close'>> => {
  const daemon = await openNixDaemon(nix);
  if (daemon.kind === 'open') {
    logger.info('builds go through a Nix daemon', daemon.about);
    return daemon;
  }
  logger.warn('builds go through nix-store, for no Nix daemon was reached', { why: daemon.why });
  return {
    builder: await createNixStoreBuilder(nix),
    queries: (asking) => createStoreQueries(nix, asking),
    close: async () => {},
  };
};

const openParts = async ({ options, deps, nix, database, feed }: Opened) => {
  const folders = stateFolders(options.dbPath);
  const metrics = createWorkMetrics(Date.now);
  // Copies that a server which was killed had not sent.
  await removeTree(folders.backups);
  for (const folder of [options.logs.folder, ...Object.values(folders)]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  }
  await removeStaleLocks(folders.mirrors);
  const store = await openStore(nix, deps.loggerFor('scheduler'));
  return {
    nix,
    database,
    git: createGitCli({ env: deps.env }),
    builder: store.builder,
    queries: store.queries,
    closeStore: store.close,
    kept: options.keepJobsets
      ? createKeptJobsets({ database, nix, rootsDir: folders.roots, clock: Date.now })
      : null,
    live: createLiveBuilds(Date.now),
    feed,
    metrics,
    onRecorded: (transitions: readonly RecordedTransition[]): void => {
      feed.recorded(transitions);
      metrics.recorded(transitions);
    },
    logs: {
      ...options.logs,
      feed: feed.logs,
      mask: createSecretMask(options.secrets.map((secret) => secret.reveal())),
      // Logs that nobody keeps are not worth it.
      compression:
        options.retention === null
          ? null
          : createLogCompression({
              folder: options.logs.folder,
              onEvent: createCompressionLog(deps.loggerFor('scheduler')),
            }),
    },
    slots: options.slots,
    limits: options.buildLimits,
    mirrorsDir: folders.mirrors,
    // Without retention nobody would ever remove them.
    ...(options.retention !== null && { outputRootsDir: folders.outputRoots }),
  };
};

type OpenedParts = Awaited<ReturnType<typeof openParts>>;

/** Nothing else is at work yet: what the server's earlier life left is settled first. */
const takeUpAgain = async ({ database, queries, onRecorded }: OpenedParts, logger: Logger): Promise<void> => {
  const requeued = await database.changes.releaseAll(leaseOwner, Date.now());
  const recorder = createRecorder({ database, clock: Date.now, onRecorded });
  const builds = await recoverBuilds({ database, recorder, store: queries() });
  const { queued } = await resumeDeliveries({ database, clock: Date.now });
  if (requeued + builds.succeeded + builds.interrupted + queued.length === 0) return;
  logger.info('took up again what the last server left', { requeued, builds, queued: queued.length });
};

const openUpkeep = (parts: OpenedParts, { options, deps }: Opened, facts: ServerFacts): Upkeep => {
  const { dbPath, repositories, retention, minFreeBytes, logs } = options;
  const { database, live, kept, nix } = parts;
  return createUpkeep({
    options: { dbPath, repositories, retention, minFreeBytes, logsDir: logs.folder, storeDir: nix.storeDir },
    database,
    live,
    kept,
    judging: {
      pause: () => facts.loop?.pause(),
      resume: () => facts.loop?.resume(),
      release: () => facts.loop?.release(),
    },
    loggerFor: deps.loggerFor,
  });
};

/** They are built one at a time, between judgements. */
const openOrders = (parts: OpenedParts, { deps }: Opened, { gate, drain }: Upkeep): OrderedBuilds => {
  const { database, nix } = parts;
  return createOrderedBuilds({
    database,
    storeDir: nix.storeDir,
    clock: Date.now,
    onEvent: createOrderLog(deps.loggerFor('scheduler')),
    build: (order, signal) => {
      const onEvent = (): void => {};
      const { builds } = wirePipeline({ ...parts, gate, onRanDry: drain.ranDry, signal, onEvent });
      return buildDerivation({ database, builds, storeDir: nix.storeDir }, order, signal);
    },
  });
};

/** Mirrors are fetched beside the judging, and a moved base has changes judged again. */
const openFreshness = (parts: OpenedParts, { options, deps }: Opened, facts: ServerFacts): Freshness => {
  const logger = deps.loggerFor('scheduler');
  return createFreshness({
    repositories: options.repositories,
    mirrorsDir: parts.mirrorsDir,
    database: parts.database,
    git: parts.git,
    clock: Date.now,
    wake: () => {
      facts.loop?.wake();
      facts.counts.refresh();
    },
    onRequeued: (changes) => {
      const numbers = changes.map(({ number }) => number);
      logger.info('the base has moved: judging again', { repository: changes[0]?.repository, numbers });
    },
    onFault: (err) => logger.error('could not look which changes a moved base concerns', { err }),
  });
};

interface Judging {
  readonly freshness: Freshness;
  readonly counts: ChangeCounts;
  readonly upkeep: Upkeep;
  readonly orders: OrderedBuilds;
  readonly watch: DatabaseWatch;
}

const startJudging = (
  parts: OpenedParts,
  { options, deps }: Opened,
  { counts, upkeep, orders, freshness, watch }: Judging,
): JudgeLoop => {
  const log = createJudgeLog(deps.loggerFor);
  const { gate, drain } = upkeep;
  const judgeDeps = (told: LiveJudgement): JudgeChangeDeps => ({
    repositories: options.repositories,
    pipelineFor: (signal, onEvent) => {
      const onRecorded = (transitions: readonly RecordedTransition[]): void => {
        told.recorded(transitions);
        parts.metrics.recorded(transitions);
      };
      return wirePipeline({ ...parts, gate, onRanDry: drain.ranDry, onRecorded, signal, onEvent });
    },
    limits: options.evaluationLimits,
    rebuild: options.rebuild,
    mirrorsDir: parts.mirrorsDir,
    onEvent: (change, event) => {
      log.progress(change, event);
      told.progress(event);
      parts.metrics.progress(change, event);
    },
  });
  return startJudgeLoop({
    database: parts.database,
    judge: (change, signal) => {
      const told = parts.feed.judging(change);
      return judgeStoredChange(judgeDeps(told), change, signal).finally(() => {
        told.end();
        return parts.kept?.endUse();
      });
    },
    prepare: (change, signal) => freshness.prepare(change, signal),
    onHold: () => freshness.onHold(),
    between: (signal) => orders.runWaiting(signal),
    owner: leaseOwner,
    clock: Date.now,
    onEvent: (event) => {
      log.judging(event);
      parts.metrics.judging(event);
      if (event.kind === 'database-fault') deps.onDatabaseFault?.(event.error);
      freshness.onJudgeEvent(event);
      if (event.kind === 'database-fault') watch.look();
      counts.refresh();
    },
  });
};

interface Serving extends Pick<Judging, 'upkeep' | 'orders' | 'freshness'> {
  readonly facts: ServerFacts;
  readonly forge: Forge;
  readonly ending: AbortSignal;
}

const upkeepForHttp = (
  { database, live }: OpenedParts,
  { dbPath, retention }: ServerOptions,
  { facts, upkeep }: { readonly facts: ServerFacts; readonly upkeep: Upkeep },
): HttpDeps['upkeep'] => ({
  ...upkeep,
  logDays: retention === null ? null : retention.logMaxAgeMs / dayMs,
  drain: {
    ...upkeep.drain,
    isDry: () => (facts.loop?.current() ?? null) === null && live.active().length === 0,
  },
  backup: {
    folder: stateFolders(dbPath).backups,
    write: (path) => database.backup(path),
  },
});

const openHttp = async (
  parts: OpenedParts,
  { options, deps }: Opened,
  { facts, upkeep, orders, forge, freshness, ending }: Serving,
) => {
  const { nix, database, builder, live, logs, slots, feed } = parts;
  const logger = deps.loggerFor('http');
  const connections = createLiveConnections({ feed, storeDir: nix.storeDir });
  const app = await createHttpApp({
    database,
    logsDir: logs.folder,
    storeDir: nix.storeDir,
    version: options.version,
    builds: { ...live, why: (drv) => live.why(drv) ?? orders.why(drv) },
    live: connections,
    storeLogs: createStoreLogs({ nix, logs, signal: ending }),
    workMetrics: parts.metrics,
    status: () => ({
      startedAtMs: facts.startedAtMs,
      nixVersion: nix.version,
      evaluator: `${chooseEvaluator(nix).name} (Nix ${nix.version})`,
      systems: builder.systems,
      draining: facts.phase === 'ending' || upkeep.drain.isDraining(),
      builds: { slots: slots.build + slots.fixedOutput },
      changes: facts.counts.now(),
    }),
    isReady: () => facts.phase === 'serving',
    findRepository: ({ forge, owner, name }) =>
      options.repositories.find((one) => forge === 'git' && one.name === `${owner}/${name}`)?.name ?? null,
    upkeep: upkeepForHttp(parts, options, { facts, upkeep }),
    repositories: () => repositoriesOnWire(forge, freshness.onHold()),
    clock: Date.now,
    onFault: ({ error, method, route }) => logger.error('a request failed', { method, route, err: error }),
    actions: createOperatorActions({
      orders,
      isInStore: async (drv) => (await parts.queries().queryValid([drv])).has(drv),
      stopJudging: (id) => facts.loop?.cancel([id]),
      wake: () => {
        facts.loop?.wake();
        facts.counts.refresh();
      },
      logger,
    }),
    submitReview: createSubmitReview({
      git: parts.git,
      database,
      clock: Date.now,
      onSubmitted: () => {
        facts.loop?.wake();
        facts.counts.refresh();
      },
    }),
    options: options.http,
  });
  return listen(app, options.listen, connections);
};

interface ServerFacts {
  readonly startedAtMs: number;
  readonly counts: ChangeCounts;
  /** Null before it is started: it then finds by itself what waits. */
  loop: JudgeLoop | null;
  phase: 'starting' | 'serving' | 'ending';
}

const runServer = async (opened: Opened): Promise<RunningServer> => {
  const { options, deps, database } = opened;
  const logger = deps.loggerFor('scheduler');
  const parts = await openParts(opened);
  const counts = createChangeCounts(database);
  const facts: ServerFacts = { startedAtMs: Date.now(), counts, loop: null, phase: 'starting' };
  const upkeep = openUpkeep(parts, opened, facts);
  const orders = openOrders(parts, opened, upkeep);
  const freshness = openFreshness(parts, opened, facts);
  const forge = createGitForge({
    repositories: options.repositories,
    listBranches: (url, signal) => parts.git.listBranches(sourceOf(url), signal),
    clock: Date.now,
    onStatus: createForgeLog(deps.loggerFor('forge')),
  });
  const ending = new AbortController();
  const listening = await openHttp(parts, opened, {
    facts,
    upkeep,
    orders,
    forge,
    freshness,
    ending: ending.signal,
  });
  try {
    await takeUpAgain(parts, logger);
    await orders.resume();
  } catch (error) {
    await listening.close();
    await parts.closeStore();
    throw error;
  }
  const lost = Promise.withResolvers<unknown>();
  const watch = createDatabaseWatch(database, (error) => {
    if (facts.phase !== 'ending') lost.resolve(error);
  });
  parts.logs.compression?.start();
  const loop = startJudging(parts, opened, { counts, upkeep, orders, freshness, watch });
  facts.loop = loop;
  freshness.resume();
  upkeep.start();
  const deliveries = createDeliveryLine(database.deliveries);
  const intake = { database: { changes: database.changes, deliveries }, clock: Date.now };
  const watching = forge.watch(async (listing) => {
    const taken = await takeListing(intake, listing);
    loop.cancel(taken.ended);
    if (taken.queued.length + taken.ended.length === 0) return;
    // Before the loop is woken: what is new is not to be judged before it is fetched.
    freshness.moved(listing.repository);
    loop.wake();
    counts.refresh();
  }, ending.signal);
  facts.phase = 'serving';
  const stop = async (): Promise<void> => {
    facts.phase = 'ending';
    ending.abort();
    await Promise.all([watching, loop.stop(), upkeep.stop(), parts.logs.compression?.stop()]);
    await freshness.stop();
    await listening.close();
    await parts.closeStore();
    await counts.settled();
    await deliveries.close();
    await database.close();
  };
  let stopped: Promise<void> | null = null;
  return { listening, lost: lost.promise, stop: () => (stopped ??= stop()) };
};

/**
 * Opens everything and serves until it is stopped.
 * @throws NixNotFoundError, DatabaseError, ListenError, StoreQueryError; nothing is left open then
 */
export const startServer = async (options: ServerOptions, deps: ServerDeps): Promise<RunningServer> => {
  const nix = await findNix(deps.env);
  const database = await openSqliteDatabase({ path: options.dbPath, durability: options.durability });
  try {
    const feed = createLiveFeed();
    const logger = deps.loggerFor('scheduler');
    const changes = tellChanges({
      changes: database.changes,
      feed,
      onFault: (err) => logger.warn('those who follow a change were not told that it has moved', { err }),
    });
    return await runServer({ options, deps, nix, database: { ...database, changes }, feed });
  } catch (error) {
    await database.close();
    throw error;
  }
};
