// What builds: the one scheduler of the server, and what operators order of it.
import { buildDerivation } from '../pipeline/builds/build-derivation.ts';
import { findKnownFailures } from '../pipeline/builds/known-failures.ts';
import { createOrderedBuilds, type OrderedBuilds } from '../pipeline/builds/ordered-builds.ts';
import type { Scheduler } from '../pipeline/builds/scheduler.ts';
import { createScheduler } from '../pipeline/builds/scheduler-loop.ts';
import { createOrderLog } from '../pipeline/server-log.ts';
import type { Upkeep } from '../pipeline/upkeep/upkeep.ts';
import { wireBuilds } from '../pipeline/wire-pipeline.ts';
import type { Opened, ServerParts } from './server-parts.ts';

const dayMs = 24 * 60 * 60_000;

/** How much a build may print, in sizes of what is kept of it. */
const printedOfKept = 10;

export const openScheduler = (
  { database, pool, logs, feed, graph, metrics }: ServerParts,
  { options, deps }: Opened,
  { gate, drain }: Upkeep,
): Scheduler => {
  const logger = deps.loggerFor('scheduler');
  const { failureDays } = options;
  const known = { builds: database.builds, clock: Date.now, failureDays, logsDir: logs.folder };
  return createScheduler({
    database,
    pool,
    logs,
    limits: { ...options.buildLimits, maxLogBytes: printedOfKept * logs.maxBytes },
    findKnownFailures: (graph, wanted) => findKnownFailures(known, graph, wanted),
    clock: Date.now,
    gate,
    onRanDry: drain.ranDry,
    onRecorded(transitions, changesOf) {
      feed.recorded(transitions, changesOf);
      graph.recorded(transitions);
      metrics.recorded(transitions);
    },
    onRepaired(found) {
      metrics.repaired(found.length);
      logger.error('could run and did not: this is a bug in EkaCI, mended', {
        count: found.length,
        first: found[0],
      });
    },
  });
};

const sweepEveryMs = 60_000;

/** Looks every minute for what could run and does not. @returns what ends it */
export const startSweeps = (scheduler: Scheduler, { deps }: Opened): (() => void) => {
  const logger = deps.loggerFor('scheduler');
  const sweep = (): void => {
    scheduler.sweep().catch((err: unknown) => logger.warn('a sweep was not carried out', { err }));
  };
  const timer = setInterval(sweep, sweepEveryMs).unref();
  return () => clearInterval(timer);
};

/** They have a class of their own: somebody waits for each at a terminal. */
export const openOrders = (
  parts: ServerParts,
  { options, deps }: Opened,
  scheduler: Scheduler,
): OrderedBuilds => {
  const { database, nix, graph } = parts;
  const failureAge = () => ({ nowMs: Date.now(), maxAgeMs: options.failureDays * dayMs });
  return createOrderedBuilds({
    database,
    storeDir: nix.storeDir,
    clock: Date.now,
    onEvent: createOrderLog(deps.loggerFor('scheduler')),
    build: (order, signal) => {
      const purpose = { class: 'ordered', arrivedAtMs: Date.now(), change: null } as const;
      const builds = wireBuilds({ ...parts, scheduler, purpose, signal, onEvent: () => {} });
      return buildDerivation({ database, builds, graph, failureAge }, order, signal);
    },
  });
};
