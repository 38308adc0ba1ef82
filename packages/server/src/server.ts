// The composition root of the server: it names the drivers, but for the two that start-server.ts begins with, and those
// that open-cache.ts, open-evaluator.ts and open-sandbox.ts have.
import { dirname, join } from 'node:path';
import { createProcessRooting } from '@eka-ci/nix/gc-roots';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import type { Builder } from './builder/builder.ts';
import type { LocalStore } from './builder/local-store.ts';
import { openNixDaemon } from './builder/nix-daemon/open-daemon.ts';
import { createNixStoreBuilder } from './builder/nix-store/nix-store-builder.ts';
import { poolLocal } from './builder/pool/local-pool.ts';
import { createBuilderPool } from './builder/pool/machine-pool.ts';
import { createMachineOpener } from './builder/remote/open-machine.ts';
import type { CacheDeps } from './cache/cache-deps.ts';
import { createConfigHost } from './config/config-host.ts';
import { createDestinationGuard } from './config/destination-guard.ts';
import { type Credentials, createCredentials } from './credentials/credentials.ts';
import type { Database } from './database/database.ts';
import type { ForgeSignIn } from './forge/forge-sign-in.ts';
import { createGitForge } from './forge/git/git-forge.ts';
import { pickAppCredentials } from './forge/github/app-key.ts';
import { createGithubForge, isOfGithubCom, webUrlOf } from './forge/github/github-forge.ts';
import { createGithubHttp } from './forge/github/github-http.ts';
import { createGithubSignIn } from './forge/github/oauth.ts';
import type { HostedForge } from './forge/hosted-forge.ts';
import { createGitCli } from './git/git-cli/git-cli.ts';
import { removeStaleLocks } from './git/git-cli/stale-locks.ts';
import type { Listening } from './http/listen.ts';
import { createSummaryReader } from './http/summary/summary-reader.ts';
import type { Logger } from './lib/logger.ts';
import { createSecretMask, type SecretMask } from './lib/secret-mask.ts';
import { openCache } from './open-cache.ts';
import { openEvaluator } from './open-evaluator.ts';
import { openSandbox } from './open-sandbox.ts';
import { createChangeCounts } from './pipeline/change-counts.ts';
import { createDeliveryLine } from './pipeline/delivery-line.ts';
import { takeListing } from './pipeline/intake.ts';
import { createLiveFeed } from './pipeline/live/live-feed.ts';
import { tellChanges } from './pipeline/live/told-changes.ts';
import { createChangeRights } from './pipeline/people/change-rights.ts';
import type { PublishingCache } from './pipeline/publish/push-batch.ts';
import { sourceOf } from './pipeline/repository-source.ts';
import { createForgeLog } from './pipeline/server-log.ts';
import { createDatabaseWatch } from './pipeline/upkeep/database-watch.ts';
import { stateFolders } from './pipeline/upkeep/upkeep.ts';
import { openHttp } from './wiring/answering.ts';
import { openAsking } from './wiring/asking.ts';
import { tryEvaluations } from './wiring/evaluating.ts';
import { openHooks } from './wiring/hooks.ts';
import { openHosted } from './wiring/hosted.ts';
import {
  leaseOwner,
  openFreshness,
  openSatisfiable,
  openUpkeep,
  startJudging,
  takeUpAgain,
} from './wiring/judging.ts';
import { openMerging } from './wiring/merging.ts';
import { openPublishing } from './wiring/publishing.ts';
import { openReporting } from './wiring/reporting.ts';
import { openOrders, openScheduler, startSweeps } from './wiring/scheduling.ts';
import type { ServerDeps, ServerOptions } from './wiring/server-options.ts';
import { type Opened, type OpenStore, openParts, type ServerFacts } from './wiring/server-parts.ts';
import { openSigningIn } from './wiring/signing-in.ts';

export interface RunningServer {
  readonly listening: Pick<Listening, 'tcp' | 'socketPath'>;
  /** Resolves, with the reason, when the server cannot go on; it is to be stopped then. Never rejects. */
  readonly lost: Promise<unknown>;
  /** Ends all: a judgement that runs is queued again. Idempotent. */
  stop(): Promise<void>;
}

type StoreAccess = Omit<OpenStore, 'pool'> & {
  readonly builder: Builder;
  /** Null where only processes lead to it: nothing is copied then. */
  readonly store: LocalStore | null;
};

/** Through the daemon that Nix itself would use; where it does not answer, by a process for each build and question. */
const reachStore = async (nix: NixInstallation, logger: Logger): Promise<StoreAccess> => {
  const daemon = await openNixDaemon(nix);
  if (daemon.kind === 'open') {
    logger.info('builds go through a Nix daemon', daemon.about);
    return daemon;
  }
  logger.warn('builds go through nix-store, for no Nix daemon was reached', { why: daemon.why });
  return {
    builder: await createNixStoreBuilder(nix),
    store: null,
    queries: (asking) => createStoreQueries(nix, asking),
    rootPaths: createProcessRooting(nix),
    close: async () => {},
  };
};

/** The store of this server, and whoever builds for it: itself, and the machines of its machines file. */
const openStore = async (
  nix: NixInstallation,
  options: ServerOptions,
  { env, loggerFor }: ServerDeps,
): Promise<OpenStore> => {
  const logger = loggerFor('scheduler');
  const { builder, store, queries, rootPaths, close } = await reachStore(nix, logger);
  const ssh = { env, folder: join(dirname(options.dbPath), 'ssh') };
  const system = builder.systems[0] ?? '';
  try {
    const pool = await createBuilderPool({
      local: poolLocal(builder, options.slots),
      machinesFile: options.machinesFile,
      openMachine: store === null ? null : createMachineOpener({ local: store, system, ssh }),
      logger,
    });
    if (store?.trust === 'not-trusted' && pool.builders().length > 1) {
      logger.warn(
        'what other machines build is taken only where a key has signed it that the Nix daemon of this server knows, for it does not trust this user: add the user to trusted-users in nix.conf, or sign there',
      );
    }
    return { pool, queries, rootPaths, close: () => pool.close().then(close) };
  } catch (error) {
    await close();
    throw error;
  }
};

/** What they give is known to `mask` before anybody gets it. */
const openCredentials = ({ env, loggerFor }: ServerDeps, mask: SecretMask): Credentials => {
  const logger = loggerFor('scheduler');
  const warned = new Set<string>();
  const files = createConfigHost();
  return createCredentials({
    env,
    readFile: (path) => files.readFile(path),
    onLoaded(source, { secrets, warnings }) {
      const texts = secrets.map((secret) => secret.reveal());
      mask.learn(JSON.stringify(source), texts);
      for (const warning of warnings.filter((one) => !warned.has(one))) {
        warned.add(warning);
        logger.warn(warning);
      }
    },
  });
};

const openForges = ({ github }: ServerOptions, credentials: Credentials): HostedForge[] => {
  if (github === null) return [];
  const { webhookSecrets } = github;
  // A load has its own bound, and is shared.
  const { signal } = new AbortController();
  const byAddress = Map.groupBy(github.apps, ({ apiUrl }) => apiUrl);
  return Array.from(byAddress, ([apiUrl, apps]) => {
    const webUrl = webUrlOf(apiUrl);
    return createGithubForge({
      webUrl,
      http: createGithubHttp({ apiUrl, clock: Date.now }),
      apps: apps.map(({ id, permissions, credentials: source }) => ({
        id,
        permissions,
        loadCredentials: async () => pickAppCredentials(id, (await credentials.load(source, signal)).values),
        forgetCredentials: () => credentials.forget(source),
      })),
      webhookSecrets,
      hasNeighbours: byAddress.size > 1,
      knowsGithubIds: isOfGithubCom(apiUrl),
      clock: Date.now,
    });
  });
};

/** Where what was built goes. */
const openCaches = (
  { publishing }: ServerOptions,
  deps: Pick<CacheDeps, 'nix' | 'queries'> & { readonly credentials: Credentials },
): PublishingCache[] => {
  if (publishing === null) return [];
  const guard = createDestinationGuard({ allowPrivate: publishing.allowsPrivateHosts });
  return publishing.caches.map((entry) => {
    const { permissions, push, concurrency } = entry;
    return { cache: openCache(entry, { ...deps, guard }), permissions, push, concurrency };
  });
};

/** Whom people are known by. */
const openSignIn = ({ signIn: { github } }: ServerOptions): ForgeSignIn | null =>
  github === null
    ? null
    : createGithubSignIn({ ...github, webUrl: webUrlOf(github.apiUrl), clock: Date.now });

const runServer = async (opened: Opened): Promise<RunningServer> => {
  const { options, deps, database } = opened;
  const logger = deps.loggerFor('scheduler');
  const parts = await openParts(opened);
  const counts = createChangeCounts(database);
  const facts: ServerFacts = {
    startedAtMs: Date.now(),
    counts,
    loop: null,
    scheduler: null,
    orders: null,
    phase: 'starting',
  };
  const upkeep = openUpkeep(parts, opened, facts);
  const scheduler = openScheduler(parts, opened, upkeep);
  const orders = openOrders(parts, opened, scheduler);
  Object.assign(facts, { scheduler, orders });
  const freshness = openFreshness(parts, opened, facts);
  const forge = createGitForge({
    repositories: options.repositories,
    listBranches: (url, signal) => parts.git.listBranches(sourceOf(url), signal),
    clock: Date.now,
    onStatus: createForgeLog(deps.loggerFor('forge')),
  });
  const ending = new AbortController();
  const deliveries = createDeliveryLine(database.deliveries);
  const reporting = openReporting(parts, opened, leaseOwner);
  const { reporter } = reporting;
  const rights = createChangeRights({ forges: opened.forges, database, clock: Date.now });
  const summaries = createSummaryReader(database.changes);
  const merges = openMerging(parts, opened, rights);
  const publishing = openPublishing(parts, opened, leaseOwner);
  const hooks = openHooks(parts, opened);
  const asking = openAsking(parts, opened, { rights, merges, summaries });
  const hosted = openHosted(parts, opened, { facts, deliveries, reporter, asking, merges, rights });
  const signingIn = openSigningIn(parts, opened, rights);
  const listening = await openHttp(parts, opened, {
    facts,
    upkeep,
    scheduler,
    orders,
    forge,
    freshness,
    hosted,
    reporter,
    signingIn,
    merges,
    publishing,
    ending: ending.signal,
  });
  try {
    // It answers already that it lives, and takes what forges tell; nothing is shown before.
    await hosted.intake.hear();
    await takeUpAgain(parts, logger);
    await signingIn.auth.start();
    await orders.takeUp();
    await reporting.start();
    await publishing.start();
    await hooks.start();
    await hosted.intake.start();
    merges.start();
  } catch (error) {
    await listening.close();
    await hosted.intake.stop();
    await merges.stop();
    await reporting.stop();
    await publishing.stop();
    await hooks.stop();
    await scheduler.stop();
    await parts.closeStore();
    throw error;
  }
  const lost = Promise.withResolvers<unknown>();
  const watch = createDatabaseWatch(database, (error) => {
    if (facts.phase !== 'ending') lost.resolve(error);
  });
  parts.logs.compression?.start();
  const loop = startJudging(parts, opened, {
    ...{ counts, upkeep, scheduler, freshness, watch, reporter, merges, publishing, hooks },
  });
  facts.loop = loop;
  orders.resume();
  const endSweeps = startSweeps(scheduler, opened);
  const satisfiable = openSatisfiable(parts, opened, facts);
  freshness.resume();
  upkeep.start();
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
  const tried = tryEvaluations(parts.evaluation, logger, ending.signal);
  const stop = async (): Promise<void> => {
    facts.phase = 'ending';
    ending.abort();
    endSweeps();
    await tried;
    await hosted.intake.stop();
    await merges.stop();
    await publishing.stop();
    await Promise.all([watching, loop.stop(), orders.stop(), upkeep.stop(), hooks.stop()]);
    await parts.logs.compression?.stop();
    await satisfiable.stop();
    await scheduler.stop();
    await reporting.stop();
    await freshness.stop();
    await listening.close();
    await summaries.close();
    await parts.closeStore();
    await counts.settled();
    await deliveries.close();
    await database.close();
  };
  let stopped: Promise<void> | null = null;
  return { listening, lost: lost.promise, stop: () => (stopped ??= stop()) };
};

/** What start-server.ts has begun with. */
type Begun = Pick<Opened, 'options' | 'deps' | 'nix'> & {
  /** Ours to close. */
  readonly database: Database;
};

/**
 * Opens all else and serves until it is stopped.
 * @throws MachinesFileError, DatabaseError, ListenError, StoreQueryError; nothing is left open then, the database neither
 */
export const serveFrom = async ({ options, deps, nix, database }: Begun): Promise<RunningServer> => {
  try {
    const feed = createLiveFeed();
    const logger = deps.loggerFor('scheduler');
    const { mask = createSecretMask([]) } = deps;
    mask.learn(
      'configuration',
      options.secrets.map((secret) => secret.reveal()),
    );
    const credentials = openCredentials(deps, mask);
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
      forges: openForges(options, credentials),
      signIn: openSignIn(options),
      credentials,
      mask,
      openCaches: (queries) => openCaches(options, { nix, queries, credentials }),
      sandbox: openSandbox({
        env: deps.env,
        folder: stateFolders(options.dbPath).checks,
        onBounds: (bounds) => deps.loggerFor('scheduler').info('checks run in a sandbox', { bounds }),
      }),
      openEvaluation: (rootPaths) =>
        openEvaluator(deps.env, nix, {
          rootPaths,
          onBounds: (bounds) => logger.info('evaluations run in the sandbox and as its user', { bounds }),
        }),
      openStore: () => openStore(nix, options, deps),
      removeStaleLocks,
    });
  } catch (error) {
    await database.close();
    throw error;
  }
};
