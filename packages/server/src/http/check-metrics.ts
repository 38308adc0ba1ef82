// Metrics of the checks that repositories have: what they came to, and how long they ran.
import type { CheckOutcome } from '@eka-ci/core/check-outcome';
import { Counter, Histogram, type Registry } from 'prom-client';
import type { MetricSet } from './metric-set.ts';

export interface CheckMetrics extends MetricSet {
  /** @param ending `durationMs` is null where nothing was run */
  ended(ending: { readonly outcome: CheckOutcome; readonly durationMs: number | null }): void;
}

export const createCheckMetrics = (): CheckMetrics => {
  const registers: Registry[] = [];
  const checks = new Counter({
    name: 'eka_ci_checks_total',
    help: 'Checks that were run, by what they came to; what is known of the same question from before is not run.',
    labelNames: ['outcome'],
    registers,
  });
  const seconds = new Histogram({
    name: 'eka_ci_check_duration_seconds',
    help: 'How long checks ran in the sandbox.',
    buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200],
    registers,
  });
  return {
    ended({ outcome, durationMs }) {
      checks.inc({ outcome });
      if (durationMs !== null) seconds.observe(durationMs / 1000);
    },
    registerIn(registry) {
      registry.registerMetric(checks);
      registry.registerMetric(seconds);
    },
  };
};
