import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { openWarmDatabase } from '../database/kysely/sqlite/testing/warm-database.ts';
import { newNode } from '../database/testing/samples.ts';
import { createSharedGraph } from '../pipeline/graph/shared-graph.ts';
import { writeFiles } from '../pipeline/graph/testing/graph-changes.ts';
import { createGraphMetrics } from './graph-metrics.ts';
import { metricsToken, serve } from './testing/served.ts';

const folder = mkdtempSync(join(tmpdir(), 'eka-ci-graph-metrics-'));
const database = await openWarmDatabase({ path: join(folder, 'test.db'), durability: 'process-death' });
const graph = createSharedGraph({
  files: { storeDir: '/nix/store', realStoreDir: folder },
  database,
  capacity: 3,
  clock: () => 10_000_000,
  onEvent: (event) => metrics.told(event),
});
const metrics = createGraphMetrics(() => graph.counts());
const served = await serve({ graphMetrics: metrics });
afterAll(async () => {
  await served.close();
  await database.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The samples of the graph's metrics, without those that depend on the machine. */
const read = async (): Promise<string[]> => {
  const headers = { authorization: `Bearer ${metricsToken}` };
  const { body } = await served.app.inject({ url: '/metrics', headers });
  const own = body.split('\n').filter((line) => line.startsWith('eka_ci_graph_'));
  return own
    .filter((line) => !/_bucket|duration_seconds_sum|memory_bytes/.test(line) && !line.endsWith(' 0'))
    .map((line) => line.slice('eka_ci_graph_'.length));
};

it('tells what the graph in memory holds, what was found there, what was read again and what was forgotten', async () => {
  const leaf = newNode();
  const [one, other] = [0, 1].map(() => newNode([{ path: leaf.path, outputs: ['out'] }]));
  const alone = newNode();
  const wide = newNode();
  if (one === undefined || other === undefined) throw new Error('two nodes were made');
  writeFiles(folder, [leaf, one, other, alone, wide]);
  const { signal } = new AbortController();
  const lease = graph.lease();
  await lease.ingest([one.path, other.path], signal);
  graph.recorded([{ drv: leaf.path, to: 'succeeded', atMs: 9_000_000 }]);
  expect(await read()).toEqual([
    'nodes{state="succeeded"} 1',
    'nodes{state="unknown"} 2',
    'capacity 3',
    'utilisation_ratio 1',
    'pinned_nodes 3',
    'leases 1',
    'misses_total 3',
  ]);
  await lease.ingest([alone.path], signal);
  lease.release();
  const again = graph.lease();
  await again.ingest([leaf.path, alone.path, wide.path, one.path], signal);
  const told = await read();
  expect(told).toContain('capacity 3');
  expect(told).toContainEqual(expect.stringMatching(/^utilisation_ratio 1\.3/));
  expect(told).toContainEqual(expect.stringMatching(/^evictions_total\{tier="least-recently-used"\} [23]$/));
  expect(told).toContainEqual(expect.stringMatching(/^reloads_total [12]$/));
  expect(told).toContain('reload_duration_seconds_count 1');
  expect(told).toContain('pinned_nodes 4');
});

it('estimates the memory', async () => {
  expect(graph.counts().memoryBytes).toBeGreaterThan(1000);
  expect(graph.counts().memoryBytes).toBeLessThan(100_000);
});
