import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import type { BuilderCounts } from '../builder/builder-counts.ts';
import { addBuilderMetrics } from './builder-metrics.ts';

const far: BuilderCounts = {
  name: 'far',
  slots: { build: 4, fixedOutput: 8 },
  isUp: false,
  outages: 2,
  connections: 3,
  copied: { to: 1000, from: 20 },
};

it('tells of every builder that is configured now, and of no other', async () => {
  const registry = new Registry();
  let counts: readonly BuilderCounts[] = [far, { ...far, name: 'near', isUp: true }];
  addBuilderMetrics(registry, () => counts);
  const read = async (): Promise<string[]> =>
    (await registry.metrics()).split('\n').filter((line) => line.startsWith('eka_ci_builder_'));
  expect(await read()).toHaveLength(14);
  counts = [far];
  // Read twice, counted once.
  expect(await read()).toEqual([
    'eka_ci_builder_up{builder="far"} 0',
    'eka_ci_builder_connections{builder="far"} 3',
    'eka_ci_builder_slots{builder="far",kind="build"} 4',
    'eka_ci_builder_slots{builder="far",kind="fixed_output"} 8',
    'eka_ci_builder_copied_bytes_total{builder="far",direction="to"} 1000',
    'eka_ci_builder_copied_bytes_total{builder="far",direction="from"} 20',
    'eka_ci_builder_outages_total{builder="far"} 2',
  ]);
});
