// The parts of a server that live as long as it does, made from what server.ts has opened.
import { mkdir } from 'node:fs/promises';
import type { RootPaths } from '@eka-ci/nix/gc-roots';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { createInputStore } from '@eka-ci/nix/locked-inputs/input-store';
import type { StoreQueries } from '@eka-ci/nix/store-queries';
import type { CountedBuilderPool } from '../builder/builder-counts.ts';
import { createDestinationGuard } from '../config/destination-guard.ts';
import { lookUpByDns } from '../config/dns-lookup.ts';
import type { Credentials } from '../credentials/credentials.ts';
import type { Database, RecordedTransition } from '../database/database.ts';
import type { ForgeSignIn } from '../forge/forge-sign-in.ts';
import type { HostedForge } from '../forge/hosted-forge.ts';
import type { Git } from '../git/git.ts';
import { createCheckMetrics } from '../http/check-metrics.ts';
import { createGraphMetrics } from '../http/graph-metrics.ts';
import { createHookMetrics } from '../http/hook-metrics.ts';
import { createMergeMetrics } from '../http/merge-metrics.ts';
import { createPushMetrics } from '../http/push-metrics.ts';
import { createWorkMetrics } from '../http/work-metrics.ts';
import type { SecretMask } from '../lib/secret-mask.ts';
import { removeTree } from '../lib/work-folder.ts';
import { createLogCompression } from '../pipeline/builds/log-compression.ts';
import type { OrderedBuilds } from '../pipeline/builds/ordered-builds.ts';
import type { Scheduler } from '../pipeline/builds/scheduler.ts';
import type { ChangeCounts } from '../pipeline/change-counts.ts';
import { createEvaluationBudget } from '../pipeline/evaluation-budget.ts';
import { createEvaluationLine } from '../pipeline/evaluation-line.ts';
import { createGraphLog } from '../pipeline/graph/graph-log.ts';
import { createSharedGraph, type SharedGraph } from '../pipeline/graph/shared-graph.ts';
import type { JudgeLoop } from '../pipeline/judge-loop.ts';
import { createKeptJobsets } from '../pipeline/kept-jobsets.ts';
import type { LiveFeed } from '../pipeline/live/live-feed.ts';
import { createPrefetch } from '../pipeline/prefetch/prefetch.ts';
import { createVisibility } from '../pipeline/privacy/visibility.ts';
import type { PublishingCache } from '../pipeline/publish/push-batch.ts';
import { stateFolders } from '../pipeline/upkeep/upkeep.ts';
import { createCompressionLog } from '../pipeline/upkeep/upkeep-log.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { OpenEvaluator } from './evaluating.ts';
import type { ServerDeps, ServerOptions } from './server-options.ts';

/** Builds, and what is asked of the store. */
export interface OpenStore {
  readonly pool: CountedBuilderPool;
  readonly queries: (asking?: { readonly signal?: AbortSignal }) => StoreQueries;
  readonly rootPaths: RootPaths;
  /** Ends what it keeps open. */
  close(): Promise<void>;
}

/** What a server was told, and the drivers that were chosen for it. */
export interface Opened {
  readonly options: ServerOptions;
  readonly deps: ServerDeps;
  readonly nix: NixInstallation;
  /** Its changes tell `feed` what moves them. */
  readonly database: Database;
  readonly feed: LiveFeed;
  readonly git: Git;
  /** Those that call us and show what we say. */
  readonly forges: readonly HostedForge[];
  /** Null: nobody can sign in. */
  readonly signIn: ForgeSignIn | null;
  /** Of all credential sources. */
  readonly credentials: Credentials;
  /** Of what the configuration holds, and of what credential sources give. */
  readonly mask: SecretMask;
  /** In the order of the configuration. */
  readonly openCaches: (queries: OpenStore['queries']) => readonly PublishingCache[];
  /** Where checks are run. */
  readonly sandbox: Sandbox;
  readonly openEvaluation: (rootPaths: RootPaths) => OpenEvaluator;
  readonly openStore: () => Promise<OpenStore>;
  /** Of what a killed server left in the folder of mirrors. @returns what it removed */
  readonly removeStaleLocks: (mirrorsDir: string) => Promise<readonly string[]>;
}

/** What is true of a server now. */
export interface ServerFacts {
  readonly startedAtMs: number;
  readonly counts: ChangeCounts;
  /** Null before it is started: it then finds by itself what waits. */
  loop: JudgeLoop | null;
  /** These are made with what needs to know of them. */
  scheduler: Scheduler | null;
  orders: OrderedBuilds | null;
  phase: 'starting' | 'serving' | 'ending';
}

/** What the judgements share of derivations, with its metrics. */
const openGraph = ({ options, deps, nix, database }: Opened) => {
  const log = createGraphLog(deps.loggerFor('graph'));
  const graphMetrics = createGraphMetrics(() => graph.counts());
  const graph: SharedGraph = createSharedGraph({
    files: { storeDir: nix.storeDir },
    database,
    capacity: options.graphCapacity,
    clock: Date.now,
    onEvent(event) {
      log(event);
      graphMetrics.told(event);
    },
  });
  return { graph, graphMetrics };
};

/** @throws what opening the store throws */
export const openParts = async (opened: Opened) => {
  const { options, deps, nix, database, feed, git, openStore, removeStaleLocks } = opened;
  const folders = stateFolders(options.dbPath);
  const metrics = createWorkMetrics(Date.now);
  // Copies that a server which was killed had not sent.
  await removeTree(folders.backups);
  // Copies of trees for the checks that it ran.
  await removeTree(folders.checks);
  for (const folder of [options.logs.folder, ...Object.values(folders)]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  }
  await removeStaleLocks(folders.mirrors);
  // Before anything is answered.
  const visibility = createVisibility(database);
  await visibility.load();
  const store = await openStore();
  const evaluation = opened.openEvaluation(store.rootPaths);
  const { graph, graphMetrics } = openGraph(opened);
  const mergeMetrics = createMergeMetrics();
  const checkMetrics = createCheckMetrics();
  const hookMetrics = createHookMetrics();
  const pushMetrics = createPushMetrics({ counts: () => database.pushes.counts(), clock: Date.now });
  return {
    nix,
    database,
    visibility,
    git,
    pool: store.pool,
    system: store.pool.builders()[0]?.systems[0] ?? 'x86_64-linux',
    queries: store.queries,
    rootPaths: store.rootPaths,
    closeStore: () => store.close(),
    kept: options.keepJobsets
      ? createKeptJobsets({ database, nix, rootsDir: folders.roots, clock: Date.now })
      : null,
    evaluation,
    evaluator: evaluation.evaluator,
    evaluations: createEvaluationLine(),
    budget: createEvaluationBudget(),
    // Of what strangers lock nothing is private, whatever caches may be.
    prefetch: createPrefetch({
      guard: createDestinationGuard({ allowPrivate: false, lookup: (name) => lookUpByDns(name) }),
      ...{ storeDir: nix.storeDir, git },
      inputs: createInputStore(nix),
      queries: store.queries,
      isHidden: (name) => visibility.ownerOf(name) !== null,
    }),
    feed,
    metrics,
    graph,
    graphMetrics,
    /** Those of the merges, and whatever else counts by itself. */
    mergeMetrics,
    pushMetrics,
    checkMetrics,
    hookMetrics,
    metricSets: [mergeMetrics, checkMetrics, hookMetrics, pushMetrics],
    onRecorded: (transitions: readonly RecordedTransition[]): void => {
      feed.recorded(transitions);
      graph.recorded(transitions);
      metrics.recorded(transitions);
    },
    logs: {
      ...options.logs,
      feed: feed.logs,
      mask: opened.mask,
      // Logs that nobody keeps are not worth it.
      compression:
        options.retention === null
          ? null
          : createLogCompression({
              folder: options.logs.folder,
              onEvent: createCompressionLog(deps.loggerFor('scheduler')),
            }),
    },
    mirrorsDir: folders.mirrors,
    // Without retention nobody would ever remove them.
    ...(options.retention !== null && { outputRootsDir: folders.outputRoots }),
  };
};

export type ServerParts = Awaited<ReturnType<typeof openParts>>;
