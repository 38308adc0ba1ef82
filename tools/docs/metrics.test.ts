import { describe, expect, it } from 'vitest';
import { renderMetrics } from './metrics.ts';

describe('the page of metrics', () => {
  it('has every metric once, each with our prefix, its type and what it means', async () => {
    const rows = (await renderMetrics()).split('\n').filter((line) => line.startsWith('| `'));
    const names = rows.map((row) => /^\| `(\w+)`/.exec(row)?.[1] ?? '');
    expect(names.length).toBeGreaterThan(40);
    expect(new Set(names).size).toBe(names.length);
    for (const row of rows) {
      expect(row).toMatch(
        /^\| `eka_ci_[a-z0-9_]+` \| (?:counter|gauge|histogram) \| (?:`\w+`(?:, )?)* ?\| .+\. \|$/,
      );
    }
    // Prometheus asks for this of counters; Node's own gauges with that ending are not ours.
    for (const row of rows.filter((one) => one.includes('| counter |')))
      expect(row).toMatch(/^\| `\w+_total`/);
  });
});
