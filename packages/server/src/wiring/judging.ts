// The work of a server: what an earlier life left is settled, then changes are judged and orders built, one at a time.
import type { RecordedTransition } from '../database/database.ts';
import type { Logger } from '../lib/logger.ts';
import { buildDerivation } from '../pipeline/builds/build-derivation.ts';
import { createOrderedBuilds, type OrderedBuilds } from '../pipeline/builds/ordered-builds.ts';
import { createRecorder } from '../pipeline/builds/record.ts';
import { recoverBuilds } from '../pipeline/builds/recover.ts';
import type { ChangeCounts } from '../pipeline/change-counts.ts';
import { createFreshness, type Freshness } from '../pipeline/freshness.ts';
import { resumeDeliveries } from '../pipeline/intake.ts';
import { type JudgeLoop, startJudgeLoop } from '../pipeline/judge-loop.ts';
import { type JudgeChangeDeps, judgeStoredChange } from '../pipeline/judge-stored-change.ts';
import type { LiveJudgement } from '../pipeline/live/live-feed.ts';
import { createJudgeLog, createOrderLog } from '../pipeline/server-log.ts';
import type { DatabaseWatch } from '../pipeline/upkeep/database-watch.ts';
import { createUpkeep, type Upkeep } from '../pipeline/upkeep/upkeep.ts';
import { wirePipeline } from '../pipeline/wire-pipeline.ts';
import type { Opened, ServerFacts, ServerParts } from './server-parts.ts';

/** Its owner name is the same after a restart: this database has no other server. */
const leaseOwner = 'server';

/** Nothing else is at work yet: what the server's earlier life left is settled first. */
export const takeUpAgain = async (
  { database, queries, onRecorded }: ServerParts,
  logger: Logger,
): Promise<void> => {
  const requeued = await database.changes.releaseAll(leaseOwner, Date.now());
  const recorder = createRecorder({ database, clock: Date.now, onRecorded });
  const builds = await recoverBuilds({ database, recorder, store: queries() });
  const { queued } = await resumeDeliveries({ database, clock: Date.now });
  if (requeued + builds.succeeded + builds.interrupted + queued.length === 0) return;
  logger.info('took up again what the last server left', { requeued, builds, queued: queued.length });
};

export const openUpkeep = (parts: ServerParts, { options, deps }: Opened, facts: ServerFacts): Upkeep => {
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
export const openOrders = (parts: ServerParts, { deps }: Opened, { gate, drain }: Upkeep): OrderedBuilds => {
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
export const openFreshness = (
  parts: ServerParts,
  { options, deps }: Opened,
  facts: ServerFacts,
): Freshness => {
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

export const startJudging = (
  parts: ServerParts,
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
