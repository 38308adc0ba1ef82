// The composition root of the server: the only file that names drivers.
import { findNix, type NixInstallation } from '@eka-ci/nix/installation';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import { openNixDaemon } from './builder/nix-daemon/open-daemon.ts';
import { createNixStoreBuilder } from './builder/nix-store/nix-store-builder.ts';
import { openSqliteDatabase } from './database/kysely/sqlite/sqlite-database.ts';
import { createGitForge } from './forge/git/git-forge.ts';
import { createGitCli } from './git/git-cli/git-cli.ts';
import { removeStaleLocks } from './git/git-cli/stale-locks.ts';
import type { Listening } from './http/listen.ts';
import type { Logger } from './lib/logger.ts';
import { createChangeCounts } from './pipeline/change-counts.ts';
import { createDeliveryLine } from './pipeline/delivery-line.ts';
import { takeListing } from './pipeline/intake.ts';
import { createLiveFeed } from './pipeline/live/live-feed.ts';
import { tellChanges } from './pipeline/live/told-changes.ts';
import { sourceOf } from './pipeline/repository-source.ts';
import { createForgeLog } from './pipeline/server-log.ts';
import { createDatabaseWatch } from './pipeline/upkeep/database-watch.ts';
import { openHttp } from './wiring/answering.ts';
import { openFreshness, openOrders, openUpkeep, startJudging, takeUpAgain } from './wiring/judging.ts';
import type { ServerDeps, ServerOptions } from './wiring/server-options.ts';
import { type Opened, type OpenStore, openParts, type ServerFacts } from './wiring/server-parts.ts';

export type { ServerDeps, ServerOptions } from './wiring/server-options.ts';

export interface RunningServer {
  readonly listening: Pick<Listening, 'tcp' | 'socketPath'>;
  /** Resolves, with the reason, when the server cannot go on; it is to be stopped then. Never rejects. */
  readonly lost: Promise<unknown>;
  /** Ends all: a judgement that runs is queued again. Idempotent. */
  stop(): Promise<void>;
}

/** Through the daemon that Nix itself would use; where it does not answer, by a process for each build and question. */
const openStore = async (nix: NixInstallation, logger: Logger): Promise<OpenStore> => {
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
    return await runServer({
      options,
      deps,
      nix,
      database: { ...database, changes },
      feed,
      git: createGitCli({ env: deps.env }),
      openStore: () => openStore(nix, logger),
      removeStaleLocks,
    });
  } catch (error) {
    await database.close();
    throw error;
  }
};
