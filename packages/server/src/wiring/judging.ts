// The work of a server: what an earlier life left is settled, then changes are judged.
import type { ChangeKind, ChangeListing } from '../database/database.ts';
import type { Logger } from '../lib/logger.ts';
import type { BuildPurpose } from '../pipeline/builds/build.ts';
import { createRecorder } from '../pipeline/builds/record.ts';
import { recoverBuilds } from '../pipeline/builds/recover.ts';
import type { Scheduler } from '../pipeline/builds/scheduler.ts';
import type { ChangeCounts } from '../pipeline/change-counts.ts';
import { createFreshness, type Freshness } from '../pipeline/freshness.ts';
import type { HookDesk } from '../pipeline/hooks/hook-desk.ts';
import { resumeDeliveries } from '../pipeline/intake.ts';
import { type JudgeLoop, startJudgeLoop } from '../pipeline/judge-loop.ts';
import { type JudgeChangeDeps, judgeStoredChange } from '../pipeline/judge-stored-change.ts';
import type { KeptJobsets } from '../pipeline/kept-jobsets.ts';
import type { LiveJudgement } from '../pipeline/live/live-feed.ts';
import type { MergeDesk } from '../pipeline/merging/merge-desk.ts';
import { writePackages } from '../pipeline/people/change-packages.ts';
import type { PushQueue } from '../pipeline/publish/push-queue.ts';
import type { Reporter } from '../pipeline/report/reporter.ts';
import { type SatisfiableWatch, watchSatisfiable } from '../pipeline/satisfiable.ts';
import { createJudgeLog } from '../pipeline/server-log.ts';
import type { DatabaseWatch } from '../pipeline/upkeep/database-watch.ts';
import { createUpkeep, type Upkeep } from '../pipeline/upkeep/upkeep.ts';
import { wirePipeline } from '../pipeline/wire-pipeline.ts';
import { openChecking } from './checking.ts';
import { publishRulesOf } from './publishing.ts';
import type { Opened, ServerFacts, ServerParts } from './server-parts.ts';

/** Its owner name is the same after a restart: this database has no other server. */
export const leaseOwner = 'server';

/** Nothing else is at work yet: what the server's earlier life left is settled first. */
export const takeUpAgain = async (
  { database, queries, onRecorded }: ServerParts,
  logger: Logger,
): Promise<void> => {
  const requeued = await database.changes.releaseAll(leaseOwner, Date.now());
  // They are run again with the change that they are of.
  await database.checkRuns.interruptAll(Date.now());
  const recorder = createRecorder({ database, clock: Date.now, onRecorded });
  const builds = await recoverBuilds({ database, recorder, store: queries() });
  const { queued } = await resumeDeliveries({ database, clock: Date.now });
  if (requeued + builds.succeeded + builds.interrupted + queued.length === 0) return;
  logger.info('took up again what the last server left', { requeued, builds, queued: queued.length });
};

export const openUpkeep = (parts: ServerParts, { options, deps }: Opened, facts: ServerFacts): Upkeep => {
  const { dbPath, repositories, retention, minFreeBytes, logs } = options;
  const { database, kept, nix } = parts;
  return createUpkeep({
    options: {
      ...{ dbPath, repositories, retention, minFreeBytes, logsDir: logs.folder, storeDir: nix.storeDir },
      caches: (options.publishing?.caches ?? []).map(({ id }) => id),
    },
    database,
    builds: {
      active: () => facts.scheduler?.active() ?? [],
      isBuilding: () => facts.scheduler?.isBuilding() ?? false,
    },
    kept,
    judging: {
      pause: () => [facts.loop, facts.orders].forEach((one) => one?.pause()),
      resume: () => [facts.loop, facts.orders].forEach((one) => one?.resume()),
      release: () => [facts.loop, facts.orders].forEach((one) => one?.release()),
    },
    loggerFor: deps.loggerFor,
  });
};

/** What lacked a builder is judged again when there is one. */
export const openSatisfiable = (
  { database, pool }: ServerParts,
  { deps }: Opened,
  facts: ServerFacts,
): SatisfiableWatch => {
  const logger = deps.loggerFor('scheduler');
  return watchSatisfiable({
    database,
    pool,
    clock: Date.now,
    onRequeued: (changes) => {
      const ids = changes.map(({ id }) => id);
      logger.info('the offer of builders has changed: judging again', { changes: ids });
      facts.loop?.wake();
      facts.counts.refresh();
    },
    onFault: (err) => logger.error('could not look which changes another builder concerns', { err }),
  });
};

/** Mirrors are fetched beside the judging, and a moved base has changes judged again. */
export const openFreshness = (
  parts: ServerParts,
  { options, deps, forges }: Opened,
  facts: ServerFacts,
): Freshness => {
  const logger = deps.loggerFor('scheduler');
  return createFreshness({
    repositories: options.repositories,
    hosted: forges,
    baselines: options.baselines,
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
  readonly scheduler: Scheduler;
  readonly reporter: Reporter;
  readonly merges: Pick<MergeDesk, 'wake'>;
  readonly publishing: Pick<PushQueue, 'wake'>;
  readonly hooks: Pick<HookDesk, 'wake'>;
  readonly watch: DatabaseWatch;
}

const classes = {
  group: 'merge-queue',
  branch: 'open-change',
  offered: 'open-change',
  submitted: 'open-change',
  baseline: 'base-branch',
} as const satisfies Record<ChangeKind, BuildPurpose['class']>;

const purposeOf = (change: ChangeListing): BuildPurpose => ({
  class: classes[change.kind],
  arrivedAtMs: change.createdAtMs,
  change,
});

export const startJudging = (
  parts: ServerParts,
  opened: Opened,
  { counts, upkeep, scheduler, freshness, watch, reporter, merges, publishing, hooks }: Judging,
): JudgeLoop => {
  const { options, deps, forges } = opened;
  const log = createJudgeLog(deps.loggerFor);
  const rules = publishRulesOf(options);
  const { gate } = upkeep;
  const checks = openChecking(parts, opened);
  const judgeDeps = (
    change: ChangeListing,
    told: LiveJudgement,
    kept: KeptJobsets | null,
  ): JudgeChangeDeps => ({
    repositories: options.repositories,
    hosted: forges,
    baselines: options.baselines,
    pipelineFor: (signal, onEvent) =>
      wirePipeline({
        ...{ ...parts, kept, scheduler, gate, checks, signal, onEvent },
        graph: { lease: () => parts.graph.lease(parts.visibility.wantedBy(change)) },
        purpose: purposeOf(change),
        ...(rules !== undefined && { publishing: rules }),
        ...(change.kind === 'offered' && {
          keepPackages: (packages) =>
            parts.database.maintainers.keepPackages(change.id, writePackages(packages)),
        }),
      }),
    limits: options.evaluationLimits,
    allowNetwork: options.evaluationNetwork,
    allowCheckNetwork: options.checkNetwork,
    rebuild: options.rebuild,
    mirrorsDir: parts.mirrorsDir,
    onEvent: (change, event) => {
      log.progress(change, event);
      told.progress(event);
      parts.metrics.progress(change, event);
      reporter.progress(change, event);
    },
  });
  return startJudgeLoop({
    database: parts.database,
    judge: (change, signal) => {
      const told = parts.feed.judging(change);
      const kept = parts.kept?.beginUse() ?? null;
      return judgeStoredChange(judgeDeps(change, told, kept), change, signal).finally(() => {
        told.end();
        kept?.endUse();
      });
    },
    prepare: (change, signal) => freshness.prepare(change, signal),
    onHold: () => freshness.onHold(),
    owner: leaseOwner,
    clock: Date.now,
    onEvent: (event) => {
      log.judging(event);
      parts.metrics.judging(event);
      reporter.judging(event);
      if (event.kind === 'finished') merges.wake();
      if (event.kind === 'finished') publishing.wake();
      if (event.kind === 'finished') hooks.wake();
      if (event.kind === 'database-fault') deps.onDatabaseFault?.(event.error);
      freshness.onJudgeEvent(event);
      if (event.kind === 'database-fault') watch.look();
      counts.refresh();
    },
  });
};
