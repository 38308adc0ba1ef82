// What keeps a server in order beside its work: it holds work back where a disk is full or an operator drains the
// server, and removes what is older than it is kept.
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Database } from '../../database/database.ts';
import type { ForgeRepository } from '../../forge/forge.ts';
import type { Logger } from '../../lib/logger.ts';
import { logFileOf } from '../builds/run-attempt.ts';
import type { SchedulerView } from '../builds/scheduler.ts';
import { combineGates, type StartGate } from '../builds/start-gate.ts';
import type { KeptJobsetStore } from '../kept-jobsets.ts';
import { mirrorNameOf } from '../repository-mirror.ts';
import { createDiskGuard, type DiskReading } from './disk-guard.ts';
import { createDrain, type Drain, type DrainDeps } from './drain.ts';
import { type Retention, type RetentionTotals, startRetention } from './retention.ts';
import { createSweepMemory } from './retention-clock.ts';
import { createDiskLog, createRetentionLog } from './upkeep-log.ts';

/** How long things are kept. */
export interface RetentionAges {
  readonly logMaxAgeMs: number;
  readonly rootMaxAgeMs: number;
}

export interface UpkeepOptions {
  readonly dbPath: string;
  readonly logsDir: string;
  readonly storeDir: string;
  readonly repositories: readonly ForgeRepository[];
  /** Ids of those that are configured. */
  readonly caches: readonly string[];
  /** Null: nothing is removed; all goes with the server's folder. */
  readonly retention: RetentionAges | null;
  /** No build and no evaluation begins while a disk has less. */
  readonly minFreeBytes: number;
}

export interface UpkeepDeps {
  readonly options: UpkeepOptions;
  readonly database: Database;
  readonly builds: Pick<SchedulerView, 'active' | 'isBuilding'>;
  readonly kept: KeptJobsetStore | null;
  readonly judging: DrainDeps['judging'];
  readonly loggerFor: (target: string) => Logger;
}

export interface Upkeep {
  /** Shut while nothing may begin. */
  readonly gate: StartGate;
  readonly drain: Drain;
  /** Why nothing begins now, one clause each. */
  warnings(): Promise<readonly string[]>;
  /** As of now. */
  readDisks(): Promise<readonly DiskReading[]>;
  /** Since the start. */
  removed(): Readonly<RetentionTotals> | null;
  /** Begins to remove. */
  start(): void;
  /** Resolves when nothing is removed any more. Idempotent. */
  stop(): Promise<void>;
}

/** Everything of the server that is not configured to be elsewhere lies beside its database. */
export const stateFolders = (dbPath: string) => {
  const state = dirname(dbPath);
  return {
    mirrors: join(state, 'mirrors'),
    roots: join(state, 'roots'),
    outputRoots: join(state, 'roots-outputs'),
    /** Of copies of trees, in which checks are run. */
    checks: join(state, 'checks'),
    /** Of copies of the database that are being sent. */
    backups: join(state, 'backups'),
  };
};

const sweepWith = (
  { options, database, builds, kept, loggerFor }: UpkeepDeps,
  ages: RetentionAges,
): Retention => {
  const { mirrors, roots, outputRoots, checks } = stateFolders(options.dbPath);
  return startRetention({
    database,
    folders: { logs: options.logsDir, roots, outputRoots, mirrors, checks, temporary: tmpdir() },
    ...ages,
    liveLogs: () => new Set(builds.active().map(({ drv, attempt }) => logFileOf(drv, attempt))),
    isRootInUse: (name) => kept?.isInUse(name) ?? false,
    caches: options.caches,
    repositories: {
      names: new Set(options.repositories.map(({ name }) => name)),
      mirrors: new Set(options.repositories.map(mirrorNameOf)),
    },
    memory: createSweepMemory(join(dirname(options.dbPath), 'last-sweep')),
    clock: Date.now,
    onEvent: createRetentionLog(loggerFor('scheduler')),
  });
};

const tellDrain = (drain: Drain, logger: Logger): Drain => ({
  ...drain,
  start() {
    if (!drain.isDraining()) logger.info('draining: nothing begins any more, what runs ends');
    drain.start();
  },
  undo() {
    if (drain.isDraining()) logger.info('not draining any more: work begins again');
    drain.undo();
  },
});

export const createUpkeep = (deps: UpkeepDeps): Upkeep => {
  const { options, builds, judging, loggerFor } = deps;
  const disks = createDiskGuard({
    places: [
      { name: 'the Nix store', path: options.storeDir },
      { name: 'the build logs', path: options.logsDir },
      { name: 'the database', path: dirname(options.dbPath) },
      { name: 'temporary files', path: tmpdir() },
    ],
    minFreeBytes: options.minFreeBytes,
    onEvent: createDiskLog(loggerFor('scheduler')),
  });
  const drain = tellDrain(
    createDrain({ isBuilding: () => builds.isBuilding(), judging }),
    loggerFor('scheduler'),
  );
  const gate = combineGates([drain, disks]);
  let retention: Retention | null = null;
  return {
    gate,
    drain,
    warnings: async () => (await Promise.all([drain.look(), disks.look()])).flatMap((one) => one ?? []),
    async readDisks() {
      await disks.look();
      return disks.readings();
    },
    removed: () => retention?.totals() ?? null,
    start() {
      if (options.retention !== null) retention ??= sweepWith(deps, options.retention);
    },
    async stop() {
      disks.stop();
      await retention?.stop();
    },
  };
};
