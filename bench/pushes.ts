// pushes: a thousand roots to a binary cache that is killed under them, until all are there; and what pushing costs builds that
// run meanwhile.

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DrvGraph, type NodeId } from '@eka-ci/core/drv-graph';
import type { CommitSha, DrvPath, StorePath, TreeSha } from '@eka-ci/core/ids';
import { readDerivationClosure } from '@eka-ci/nix/derivation-files';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';
import { type OpenDaemon, openNixDaemon } from '@eka-ci/server/builder/nix-daemon/open-daemon';
import { createNixCopyCache } from '@eka-ci/server/cache/nix-copy/nix-copy-cache';
import { whyNoNginx } from '@eka-ci/server/cache/testing/nginx';
import { createDestinationGuard } from '@eka-ci/server/config/destination-guard';
import type { Database } from '@eka-ci/server/database/database';
import { openSqliteDatabase } from '@eka-ci/server/database/kysely/sqlite/sqlite-database';
import { later } from '@eka-ci/server/lib/later';
import { writePublication } from '@eka-ci/server/pipeline/publish/publication-parts';
import { createPushQueue, type PushQueueEvent } from '@eka-ci/server/pipeline/publish/push-queue';
import { createPushRoots } from '@eka-ci/server/pipeline/publish/push-roots';
import { scheduleAlone } from '@eka-ci/server/pipeline/testing/schedule-alone';
import {
  assertSameWork,
  type Benchmark,
  forOrientation,
  type Outcome,
  type RunOptions,
  ratioByRound,
  summarize,
  type TimedRound,
  timeInterleaved,
  timesAsMuch,
} from './measure.ts';
import { type BenchCache, openCache } from './push-cache.ts';

const slots = 2;
let sets = 0;

/** Derivations that nobody has built. `work`: turns of a loop of their builder. */
const writeSet = async (store: PrivateStore, count: number, work: number): Promise<readonly DrvPath[]> => {
  const script = `i=0; while [ $i -lt ${work} ]; do i=$((i+1)); done; echo $i > $out`;
  const drvs = await store.instantiate(
    `builtins.listToAttrs (builtins.genList (n: { name = toString n; value = shell "push-${sets}-\${toString n}" "${script}" {}; }) ${count})`,
  );
  sets += 1;
  return Object.values(drvs);
};

/** @returns the output of each */
const buildNow = async (
  { nix }: PrivateStore,
  drvs: readonly DrvPath[],
): Promise<Map<DrvPath, StorePath>> => {
  const { code, stdout, stderr } = await runChild({
    command: nix.programs.store,
    args: ['--realise', '--max-jobs', String(slots), ...drvs],
    env: nix.env,
  });
  const paths = stdout.trim().split('\n');
  if (code !== 0 || paths.length !== drvs.length) throw new Error(stderr.slice(-500));
  return new Map(drvs.map((drv, index) => [drv, (paths[index] ?? '') as StorePath]));
};

/** As if a base branch had been judged. */
const publish = async (database: Database, roots: ReadonlyMap<DrvPath, StorePath>): Promise<void> => {
  const id = `bench-${sets++}`;
  const head = 'a'.repeat(40) as CommitSha;
  await database.deliveries.receive([{ key: id, payload: '{}', receivedAtMs: 1 }]);
  const update = {
    kind: 'base-moved',
    repository: 'bench/set',
    branch: id,
    base: null,
    head,
    title: id,
  } as const;
  await database.changes.apply([{ deliveryKey: id, update: { ...update, newId: id } }], 1);
  await database.changes.claimNext({ owner: 'bench', nowMs: 2, untilMs: 3 });
  const publications = await writePublication({
    schemaVersion: 1,
    commit: head,
    place: { repository: 'bench/set', branch: 'main', isOnBranch: true },
    jobs: [
      {
        ...{ name: 'packages', caches: ['bench'], hooks: [], builds: [] },
        roots: Array.from(roots, ([drv, output]) => ({
          drv,
          outputs: [output],
          ending: 'succeeded' as const,
        })),
      },
    ],
  });
  const judged = { state: 'judged', base: null, judgedTree: head as string as TreeSha, title: id } as const;
  const result = { ...judged, conclusion: 'success', summaryJson: '{}', markdown: '', publications };
  await database.changes.finish({ id, owner: 'bench' }, result, 4);
};

/** As a server opens it. */
const openDaemon = async ({ nix }: PrivateStore): Promise<OpenDaemon> => {
  const daemon = await openNixDaemon(nix);
  if (daemon.kind !== 'open') throw new Error(daemon.why);
  return daemon;
};

interface QueueParts {
  readonly store: PrivateStore;
  readonly daemon: OpenDaemon;
  readonly database: Database;
  readonly cache: BenchCache;
}

const openQueue = ({ store, daemon, database, cache }: QueueParts) => {
  const events: PushQueueEvent[] = [];
  const { nix } = store;
  const none = { values: new Map<string, never>(), warnings: [], leaseMs: null };
  const queue = createPushQueue({
    database,
    caches: [
      {
        cache: createNixCopyCache(
          { id: 'bench', destination: cache.url, timeoutMs: 600_000 },
          {
            nix,
            queries: daemon.queries,
            credentials: { load: async () => none, forget: () => {} },
            guard: createDestinationGuard({ allowPrivate: true }),
          },
        ),
        permissions: { allow_all: true, allowed_repos: [], allowed_branches: [] },
        push: 'runtime',
        concurrency: 4,
      },
    ],
    store: daemon.queries(),
    buildTimePathsOf: async () => [],
    roots: createPushRoots(daemon.rootPaths, join(store.folder, 'push-roots')),
    owner: 'bench',
    clock: Date.now,
    random: Math.random,
    later,
    onEvent: (event) => events.push(event),
  });
  return { queue, events };
};

const untilAllAreThere = async (database: Database): Promise<void> => {
  const isDone = async (): Promise<boolean> =>
    (await database.publications.waiting('pushes', 1)).length === 0 &&
    (await database.pushes.counts()).length === 0;
  while (!(await isDone())) await sleep(50);
};

interface Arrival {
  readonly ms: number;
  readonly restarts: number;
  readonly failures: number;
}

/** Kills the cache again and again until all pushes are settled. */
const pushUnderRestarts = async (store: PrivateStore, { smoke }: RunOptions): Promise<Arrival> => {
  const count = smoke ? 20 : 1000;
  const roots = await buildNow(store, await writeSet(store, count, 1));
  const database = await openSqliteDatabase({
    path: join(store.folder, 'arrival.sqlite'),
    durability: 'power-loss',
  });
  const cache = await openCache(join(store.folder, 'cache-arrival'));
  const daemon = await openDaemon(store);
  const { queue, events } = openQueue({ store, daemon, database, cache });
  let restarts = 0;
  const ended = new AbortController();
  const kills = smoke ? 1 : 10;
  const killing = (async () => {
    while (!ended.signal.aborted && restarts < kills) {
      await sleep(50, null, { signal: ended.signal }).catch(() => {});
      // Each time that another part of them is there, so that it is in the middle of pushes.
      if (ended.signal.aborted || cache.taken().size <= (restarts * count) / (kills + 1)) continue;
      restarts += 1;
      await cache.restart(500);
    }
  })();
  try {
    await publish(database, roots);
    const start = performance.now();
    await queue.start();
    await untilAllAreThere(database);
    const ms = performance.now() - start;
    ended.abort();
    await killing;
    const taken = cache.taken();
    const once = [...taken.values()].filter((times) => times === 1).length;
    assertSameWork('paths that arrived once', { asked: count, once, known: taken.size });
    const failures = events.filter(
      (event) => event.kind === 'ending' && event.ending.kind === 'failed',
    ).length;
    return { ms, restarts, failures };
  } finally {
    ended.abort();
    await killing;
    await queue.stop();
    await daemon.close();
    await database.close();
    await cache.stop();
  }
};

/** Builds a set through the scheduler, as a server does. @returns how many were built */
const runBuilds = async (
  store: PrivateStore,
  database: Database,
  roots: readonly DrvPath[],
): Promise<number> => {
  const daemon = await openDaemon(store);
  try {
    const graph = new DrvGraph();
    const wanted: NodeId[] = [];
    for await (const batch of readDerivationClosure({ storeDir: store.nix.storeDir, roots })) {
      await database.derivations.save(batch.map(({ node }) => node));
      for (const { node } of batch) wanted.push(graph.add(node));
    }
    const run = scheduleAlone({
      ...{ graph, wanted, builder: daemon.builder, database },
      slots: { build: slots, fixedOutput: slots },
      limits: { silenceTimeoutMs: 60_000, maxDurationMs: 600_000, maxLogBytes: 1_000_000 },
      logs: { folder: join(store.folder, 'logs'), maxBytes: 1_000_000 },
    });
    const outcomes = [...(await run.finished).values()];
    return outcomes.filter(({ state }) => state === 'succeeded').length;
  } finally {
    await daemon.close();
  }
};

/** Builds alone, and the same number of builds while as many roots as that wait to be pushed. */
const compareBuilds = async (store: PrivateStore, { smoke, repetitions }: RunOptions) => {
  const count = smoke ? 4 : 100;
  const work = smoke ? 10 : 100_000;
  const database = await openSqliteDatabase({
    path: join(store.folder, 'builds.sqlite'),
    durability: 'power-loss',
  });
  const cache = await openCache(join(store.folder, 'cache-builds'));
  const daemon = await openDaemon(store);
  const { queue } = openQueue({ store, daemon, database, cache });
  await queue.start();
  let built: readonly DrvPath[] = [];
  let pushed = 0;
  /** The same before both sides. @returns what can be pushed */
  const prepare = async (): Promise<ReadonlyMap<DrvPath, StorePath>> => {
    await untilAllAreThere(database);
    built = await writeSet(store, count, work);
    return buildNow(store, await writeSet(store, count, 1));
  };
  try {
    const sides = await timeInterleaved(
      {
        without: {
          prepare: async () => void (await prepare()),
          run: () => runBuilds(store, database, built),
        },
        with: {
          async prepare() {
            const roots = await prepare();
            await publish(database, roots);
            pushed += roots.size;
          },
          run() {
            queue.wake();
            return runBuilds(store, database, built);
          },
        },
      },
      { repetitions, warmUps: smoke ? 0 : 1 },
    );
    await untilAllAreThere(database);
    assertSameWork('paths that arrived', { pushed, taken: cache.taken().size });
    return sides;
  } finally {
    await queue.stop();
    await daemon.close();
    await database.close();
    await cache.stop();
  }
};

const measure = async (options: RunOptions): Promise<Outcome> => {
  const why = whyNoNginx();
  if (why !== null) return { kind: 'skipped', why };
  const store = await createPrivateStore();
  try {
    const { ms, restarts, failures } = await pushUnderRestarts(store, options);
    const sides = await compareBuilds(store, options);
    assertSameWork('builds', { with: sides.with.result, without: sides.without.result });
    const ratioOf = (read: (round: TimedRound) => number): number =>
      ratioByRound(sides.with.rounds.map(read), sides.without.rounds.map(read));
    return {
      kind: 'measured',
      figures: [
        timesAsMuch({
          name: `${sides.with.result} builds while as many roots are pushed`,
          ours: sides.with.ms,
          baseline: { name: 'the builds alone', samples: sides.without.ms },
          ratio: ratioOf(({ ms }) => ms),
          atMost: 1.05,
        }),
        forOrientation({
          name: 'processor time of the whole machine meanwhile',
          unit: 'ms',
          ours: sides.with.busyMs,
          baseline: { name: 'the builds alone', samples: sides.without.busyMs },
          ratio: ratioOf(({ busyMs }) => busyMs),
        }),
        forOrientation({ name: 'until all pushes have arrived', unit: 'ms', ours: summarize([ms]) }),
      ],
      notes: [
        `each path arrived once; the cache was killed ${restarts} times, and ${failures} attempts at a push failed by that`,
      ],
    };
  } finally {
    await store.remove();
  }
};

export const pushes: Benchmark = {
  name: 'pushes',
  what: '1,000 roots pushed to a binary cache that is killed again and again: each arrives, once; and builds while roots are pushed against builds alone',
  run: measure,
};
