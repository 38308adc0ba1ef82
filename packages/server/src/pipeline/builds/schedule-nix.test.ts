// The story of a run on real Nix: a small package set with everything that goes wrong in one.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DrvGraph } from '@eka-ci/core/drv-graph';
import type { DrvPath } from '@eka-ci/core/ids';
import { readDerivationClosure } from '@eka-ci/nix/derivation-files';
import { createStoreQueries } from '@eka-ci/nix/store-queries';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createNixStoreBuilder } from '../../builder/nix-store/nix-store-builder.ts';
import type { Database } from '../../database/database.ts';
import { openWarmDatabase } from '../../database/kysely/sqlite/testing/warm-database.ts';
import { scheduleAlone } from '../testing/schedule-alone.ts';
import type { BuildEvent } from './build-outcome.ts';

const packages = `rec {
  source = shell "source" "echo source > $out" {
    outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "source\\n";
  };
  gone = shell "gone" "echo other > $out" {
    outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "source\\n";
  };
  library = shell "library" "echo compiling; echo lib > $out" { inherit source; };
  tool = shell "tool" "echo tool > $out" { inherit library; };
  broken = shell "broken" "for i in $(seq 30); do echo line $i; done; exit 1" { inherit library; };
  app = shell "app" "echo app > $out" { inherit broken tool; };
  bundle = shell "bundle" "echo bundle > $out" { inherit app; };
  unfetched = shell "unfetched" "echo > $out" { inherit gone; };
  foreign = shell "foreign" "echo > $out" { system = "riscv64-linux"; };
  needsForeign = shell "needsForeign" "echo > $out" { inherit foreign tool; };
  special = shell "special" "echo > $out" { requiredSystemFeatures = [ "quantum" ]; };
  silent = shell "silent" "sleep 30" { inherit tool; };
}`;

describe('a run of builds on real Nix', () => {
  let store: PrivateStore;
  let database: Database;
  let drvs: Record<string, DrvPath>;
  const graph = new DrvGraph();
  beforeAll(async () => {
    store = await createPrivateStore();
    database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
    drvs = await store.instantiate(packages);
    for await (const batch of readDerivationClosure({
      storeDir: store.nix.storeDir,
      roots: Object.values(drvs),
    })) {
      await database.derivations.save(batch.map(({ node }) => node));
      for (const { node } of batch) graph.add(node);
    }
  });
  afterAll(async () => {
    await database.close();
    await store.remove();
  });

  const runAll = async (signal: AbortSignal, onEvent: (event: BuildEvent) => void = () => {}) => {
    const { willBuild } = await createStoreQueries(store.nix).queryMissing(Object.values(drvs));
    const run = scheduleAlone({
      graph,
      wanted: willBuild.map((drv) => graph.find(drv)!),
      builder: await createNixStoreBuilder(store.nix),
      database,
      clock: Date.now,
      slots: { build: 2, fixedOutput: 2 },
      limits: { silenceTimeoutMs: 1500, maxDurationMs: 60_000, maxLogBytes: 1_000_000 },
      logs: { folder: join(store.folder, 'logs'), maxBytes: 100_000 },
      onEvent,
      signal,
    });
    const outcomes = await run.finished;
    return new Map([...outcomes].map(([drv, outcome]) => [graph.nameOf(graph.find(drv)!), outcome]));
  };

  it('is cancelled in the middle, and taken up again to its end', async () => {
    const abort = new AbortController();
    const first = await runAll(abort.signal, (event) => {
      if (event.kind === 'build-started' && event.drv === drvs['library']) abort.abort();
    });
    expect(first.get('bundle')).toMatchObject({ state: 'interrupted', cause: 'cancelled' });

    const second = await runAll(new AbortController().signal);
    const states = Object.fromEntries(
      [...second].map(([name, { state, cause }]) => [name, `${state} ${cause ?? ''}`]),
    );
    expect(states).toMatchObject({
      broken: 'failed builder-exit',
      app: 'dependency-failed builder-exit',
      bundle: 'dependency-failed builder-exit',
      gone: 'failed hash-mismatch',
      unfetched: 'dependency-failed hash-mismatch',
      foreign: 'unsatisfiable ',
      needsForeign: 'unsatisfiable ',
      special: 'unsatisfiable ',
      silent: 'interrupted timeout',
      tool: 'succeeded built',
    });
    expect(second.get('bundle')?.culprit).toBe(drvs['broken']);
    expect(second.get('special')?.message).toMatch(/^no builder with the feature quantum/);
    const broken = second.get('broken')!;
    expect(broken.lastLines).toContain('line 30');
    expect(await readFile(join(store.folder, 'logs', broken.logFile!), 'utf8')).toMatch(
      /^line 1\n.*line 30\n/s,
    );
    expect(await database.builds.unfinished()).toHaveLength(3);
  });
});
