// build-overhead: what the scheduler adds to builds that take no time of their own, against Nix building the same by itself.
import { join } from 'node:path';
import { DrvGraph, type NodeId } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { readDerivationClosure } from '@eka-ci/nix/derivation-files';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';
import type { Builder } from '@eka-ci/server/builder/builder';
import { openNixDaemon } from '@eka-ci/server/builder/nix-daemon/open-daemon';
import { createNixStoreBuilder } from '@eka-ci/server/builder/nix-store/nix-store-builder';
import { openSqliteDatabase } from '@eka-ci/server/database/kysely/sqlite/sqlite-database';
import { scheduleAlone } from '@eka-ci/server/pipeline/testing/schedule-alone';
import {
  assertSameWork,
  type Benchmark,
  forOrientation,
  type Outcome,
  type RunOptions,
  timeInterleaved,
  timesAsMuch,
} from './measure.ts';

const slots = 2;

interface Shape {
  /** Builds that wait for nothing. */
  readonly wide: number;
  /** Builds of which each waits for the one before. */
  readonly chain: number;
}

let sets = 0;

/** A set that nobody has built: the roots of it, and how many builds it takes. */
const writeSet = async (store: PrivateStore, { wide, chain }: Shape): Promise<readonly DrvPath[]> => {
  const drvs = await store.instantiate(`let
    set = "${sets++}";
    leaf = n: shell "leaf-\${set}-\${toString n}" "echo > $out" {};
    link = n: shell "link-\${set}-\${toString n}" "echo > $out" (if n == 0 then {} else { before = link (n - 1); });
  in { chain = link ${chain - 1}; } // builtins.listToAttrs (builtins.genList (n: { name = toString n; value = leaf n; }) ${wide})`);
  return Object.values(drvs);
};

/** As a server does it: recorded on disk, logs written, every step told. */
const runScheduled = async (store: PrivateStore, builder: Builder, roots: readonly DrvPath[]) => {
  const folder = join(store.folder, `run-${sets++}`);
  const database = await openSqliteDatabase({ path: `${folder}.sqlite`, durability: 'power-loss' });
  try {
    const graph = new DrvGraph();
    const wanted: NodeId[] = [];
    const storeDir = store.nix.storeDir;
    for await (const batch of readDerivationClosure({ storeDir, roots })) {
      await database.derivations.save(batch.map(({ node }) => node));
      for (const { node } of batch) wanted.push(graph.add(node));
    }
    const run = scheduleAlone({
      graph,
      wanted,
      builder,
      database,
      slots: { build: slots, fixedOutput: slots },
      limits: { silenceTimeoutMs: 60_000, maxDurationMs: 600_000, maxLogBytes: 1_000_000 },
      logs: { folder, maxBytes: 1_000_000 },
    });
    const outcomes = [...(await run.finished).values()];
    return outcomes.filter(({ state, cause }) => state === 'succeeded' && cause === 'built').length;
  } finally {
    await database.close();
  }
};

const runNix = async ({ nix }: PrivateStore, roots: readonly DrvPath[]): Promise<number> => {
  const args = ['--realise', ...roots, '--option', 'max-jobs', String(slots), '--option', 'builders', ''];
  const { code, stderr } = await runChild({ command: nix.programs.store, args, env: nix.env });
  return code === 0 ? stderr.split('\n').filter((line) => line.startsWith("building '")).length : -1;
};

const compare = async (store: PrivateStore, shape: Shape, { smoke, repetitions }: RunOptions) => {
  const daemon = await openNixDaemon(store.nix);
  if (daemon.kind !== 'open') throw new Error(daemon.why);
  const processes = await createNixStoreBuilder(store.nix);
  let roots: readonly DrvPath[] = [];
  const prepare = async (): Promise<void> => {
    roots = await writeSet(store, shape);
  };
  try {
    return await timeInterleaved(
      {
        ours: { prepare, run: () => runScheduled(store, daemon.builder, roots) },
        processes: { prepare, run: () => runScheduled(store, processes, roots) },
        nix: { prepare, run: () => runNix(store, roots) },
      },
      { repetitions, warmUps: smoke ? 0 : 1 },
    );
  } finally {
    await daemon.close();
  }
};

const measure = async (options: RunOptions): Promise<Outcome> => {
  const shape = options.smoke ? { wide: 3, chain: 2 } : { wide: 150, chain: 50 };
  const store = await createPrivateStore();
  try {
    const { ours, processes, nix } = await compare(store, shape, options);
    const builds = shape.wide + shape.chain;
    assertSameWork('builds', {
      asked: builds,
      ours: ours.result,
      processes: processes.result,
      nix: nix.result,
    });
    return {
      kind: 'measured',
      figures: [
        timesAsMuch({
          name: `${builds} builds of nothing`,
          ours: ours.ms,
          baseline: { name: 'nix-store --realise', samples: nix.ms },
          atMost: 1.15,
        }),
        forOrientation({ name: 'with a nix-store each', unit: 'ms', ours: processes.ms }),
      ],
    };
  } finally {
    await store.remove();
  }
};

export const buildOverhead: Benchmark = {
  name: 'build-overhead',
  what: 'builds of nothing through the scheduler, each recorded and logged, against one nix-store that builds all',
  run: measure,
};
