// Derivations of a private store, built through a scheduler of their own: what became of each, and what is in its log.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DrvGraph } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { readDerivationClosure } from '@eka-ci/nix/derivation-files';
import type { PrivateStore } from '@eka-ci/nix/testing/private-store';
import type { Builder } from '../../builder/builder.ts';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import type { BuildEvent, BuildOutcome } from '../builds/build-outcome.ts';
import type { SchedulerDeps } from '../builds/scheduler.ts';
import { scheduleAlone } from './schedule-alone.ts';

export interface NixBuildsOptions {
  readonly store: PrivateStore;
  readonly builder: Builder;
  /** As `PrivateStore.instantiate` takes it; all of it is built, with all that it needs. */
  readonly expression: string;
  readonly limits?: Partial<SchedulerDeps['limits']>;
  /** Of one log on disk. @default 100000 */
  readonly maxLogBytes?: number;
  readonly clock?: () => number;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: BuildEvent) => void;
}

export interface NixBuilds {
  /** By the derivation's name. */
  readonly outcomes: ReadonlyMap<string, BuildOutcome>;
  /** By the derivation's name: the log of its last attempt. */
  readonly logs: ReadonlyMap<string, string>;
  readonly transitions: Awaited<ReturnType<Database['builds']['eventsSince']>>;
}

const readLogs = async (folder: string, outcomes: ReadonlyMap<string, BuildOutcome>) => {
  const logs = new Map<string, string>();
  for (const [name, { logFile }] of outcomes) {
    if (logFile !== null) logs.set(name, await readFile(join(folder, logFile), 'utf8'));
  }
  return logs;
};

const readGraph = async (database: Database, storeDir: string, roots: readonly DrvPath[]) => {
  const graph = new DrvGraph();
  for await (const batch of readDerivationClosure({ storeDir, roots })) {
    await database.derivations.save(batch.map(({ node }) => node));
    for (const { node } of batch) graph.add(node);
  }
  return graph;
};

/** Twelve at once. */
export const buildOnNix = async (options: NixBuildsOptions): Promise<NixBuilds> => {
  const { store, builder, limits, onEvent = () => {}, clock = Date.now } = options;
  const database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  try {
    const drvs = Object.values(await store.instantiate(options.expression));
    const graph = await readGraph(database, store.nix.storeDir, drvs);
    const folder = join(store.folder, 'logs');
    const run = scheduleAlone({
      ...{ graph, builder, database, onEvent, clock },
      wanted: Array.from({ length: graph.nodeCount }, (_, node) => node),
      slots: { build: 12, fixedOutput: 12 },
      limits: { silenceTimeoutMs: 60_000, maxDurationMs: 120_000, maxLogBytes: 1_000_000_000, ...limits },
      logs: { folder, maxBytes: options.maxLogBytes ?? 100_000 },
      signal: options.signal ?? new AbortController().signal,
    });
    const outcomes = new Map(
      [...(await run.finished)].map(([drv, outcome]) => [graph.nameOf(graph.find(drv) ?? 0), outcome]),
    );
    const transitions = await database.builds.eventsSince(0, 1_000_000);
    return { outcomes, logs: await readLogs(folder, outcomes), transitions };
  } finally {
    await database.close();
  }
};
