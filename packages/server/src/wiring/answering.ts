// What a server answers: the HTTP app over its parts, on the port and the socket.
import type { Forge } from '../forge/forge.ts';
import { createHttpApp, type HttpDeps } from '../http/app.ts';
import { type Listening, listen } from '../http/listen.ts';
import { createLiveConnections } from '../http/live/live-connections.ts';
import { createOperatorActions } from '../http/operator-actions.ts';
import { builderFactsOf } from '../pipeline/builds/builder-facts.ts';
import type { OrderedBuilds } from '../pipeline/builds/ordered-builds.ts';
import { createRunningFacts } from '../pipeline/builds/running-facts.ts';
import type { Scheduler } from '../pipeline/builds/scheduler.ts';
import { createStoreLogs } from '../pipeline/builds/store-logs.ts';
import type { Freshness } from '../pipeline/freshness.ts';
import type { Reporter } from '../pipeline/report/reporter.ts';
import { findServedName } from '../pipeline/repository-address.ts';
import { hostedOnWire, repositoriesOnWire } from '../pipeline/repository-on-wire.ts';
import { createSubmitReview } from '../pipeline/submit-review.ts';
import { stateFolders, type Upkeep } from '../pipeline/upkeep/upkeep.ts';
import type { Hosted } from './hosted.ts';
import type { ServerOptions } from './server-options.ts';
import type { Opened, ServerFacts, ServerParts } from './server-parts.ts';
import type { SigningIn } from './signing-in.ts';

const dayMs = 24 * 60 * 60_000;

interface Serving {
  readonly upkeep: Upkeep;
  readonly scheduler: Scheduler;
  readonly orders: OrderedBuilds;
  readonly freshness: Freshness;
  readonly hosted: Hosted;
  readonly reporter: Reporter;
  readonly signingIn: SigningIn;
  readonly merges: HttpDeps['merges'];
  readonly publishing: HttpDeps['pushes'];
  readonly facts: ServerFacts;
  readonly forge: Forge;
  readonly ending: AbortSignal;
}

const upkeepForHttp = (
  { database }: ServerParts,
  { dbPath, retention }: ServerOptions,
  { facts, upkeep, hosted }: Pick<Serving, 'facts' | 'upkeep' | 'hosted'>,
): HttpDeps['upkeep'] => ({
  ...upkeep,
  warnings: async () => [...(await upkeep.warnings()), ...hosted.intake.warnings()],
  logDays: retention === null ? null : retention.logMaxAgeMs / dayMs,
  drain: {
    ...upkeep.drain,
    isDry: () => (facts.loop?.current() ?? []).length === 0 && (facts.scheduler?.active() ?? []).length === 0,
  },
  backup: {
    folder: stateFolders(dbPath).backups,
    write: (path) => database.backup(path),
  },
});

/** @throws ListenError */
export const openHttp = async (
  parts: ServerParts,
  { options, deps, forges }: Opened,
  {
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
    ending,
  }: Serving,
): Promise<Listening> => {
  const { nix, database, pool, logs, feed } = parts;
  const logger = deps.loggerFor('http');
  const connections = createLiveConnections({ feed, storeDir: nix.storeDir });
  const app = await createHttpApp({
    database,
    logsDir: logs.folder,
    storeDir: nix.storeDir,
    version: options.version,
    builds: {
      active: () => scheduler.active(),
      queued: (start, limit) => scheduler.queued(start, limit),
      queuedCount: () => scheduler.queuedCount(),
      why: (drv) => scheduler.why(drv) ?? orders.why(drv),
    },
    running: createRunningFacts(database),
    builders: builderFactsOf(pool),
    progressOf: (changeId) => feed.progressOf(changeId),
    live: connections,
    storeLogs: createStoreLogs({ nix, logs, signal: ending }),
    workMetrics: parts.metrics,
    graphMetrics: parts.graphMetrics,
    metricSets: parts.metricSets,
    builderCounts: () => pool.counts(),
    status: (maySee) => ({
      startedAtMs: facts.startedAtMs,
      nixVersion: nix.version,
      evaluator: `${parts.evaluator.name} (Nix ${nix.version})`,
      systems: [...new Set(pool.builders().flatMap(({ systems }) => systems))],
      draining: facts.phase === 'ending' || upkeep.drain.isDraining(),
      builds: {
        slots: pool.builders().reduce((sum, { slots }) => sum + slots.build + slots.fixedOutput, 0),
      },
      changes: facts.counts.now(maySee),
    }),
    mayShow: () => hosted.intake.hasHeard(),
    isReady: () => facts.phase === 'serving',
    findRepository: (address) =>
      findServedName(address, {
        ...{ repositories: options.repositories, hosted: forges },
        nameNow: (host, repository) => hosted.intake.nameNow(host, repository),
      }),
    upkeep: upkeepForHttp(parts, options, { facts, upkeep, hosted }),
    leftOut: () => forges.flatMap((one) => one.leftOut()),
    repositories: () => [
      ...repositoriesOnWire(forge, freshness.onHold()),
      ...hostedOnWire(
        hosted.intake.repositories(),
        freshness.onHold(),
        forges.map(({ host }) => host),
      ),
    ],
    clock: Date.now,
    onFault: ({ error, method, route }) => logger.error('a request failed', { method, route, err: error }),
    actions: createOperatorActions({
      orders,
      isInStore: async (drv) => (await parts.queries().queryValid([drv])).has(drv),
      stopJudging: (id) => {
        facts.loop?.cancel([id]);
        reporter.ended([id]);
      },
      wake: () => {
        hosted.intake.approved();
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
    ...signingIn,
    merges,
    pushes: publishing,
    options: options.http,
    ...(hosted.webhooks === null ? {} : { webhooks: hosted.webhooks }),
  });
  return listen(app, options.listen, connections);
};
