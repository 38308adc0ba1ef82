// Metrics of hooks: what became of their runs, and how long they took.
import { Counter, Histogram, type Registry } from 'prom-client';
import type { HookEvent } from '../pipeline/hooks/hook-event.ts';
import type { MetricSet } from './metric-set.ts';

export interface HookMetrics extends MetricSet {
  told(event: HookEvent): void;
}

export const createHookMetrics = (): HookMetrics => {
  const registers: Registry[] = [];
  const wanted = new Counter({
    name: 'eka_ci_hook_runs_wanted_total',
    help: 'Runs of hooks that followed from what was judged.',
    registers,
  });
  const runs = new Counter({
    name: 'eka_ci_hook_runs_total',
    help: 'Runs of hooks, by what became of them: succeeded, failed, timed-out, interrupted (the server ended), not-started.',
    labelNames: ['hook', 'outcome'],
    registers,
  });
  const seconds = new Histogram({
    name: 'eka_ci_hook_run_duration_seconds',
    help: 'How long hooks ran.',
    labelNames: ['hook'],
    buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200],
    registers,
  });
  const retries = new Counter({
    name: 'eka_ci_hook_retries_total',
    help: 'Runs of hooks that could not be begun, for their credentials were not to be had, and are tried again.',
    labelNames: ['hook'],
    registers,
  });
  return {
    told(event) {
      switch (event.kind) {
        case 'wanted':
          return wanted.inc(event.runs);
        case 'ended': {
          const { run, ending, result } = event;
          runs.inc({ hook: run.hook, outcome: ending.state });
          if (result !== null) seconds.observe({ hook: run.hook }, result.durationMs / 1000);
          return;
        }
        case 'put-off':
          return retries.inc({ hook: event.run.hook });
        case 'started':
        case 'taken-up':
        case 'unreadable':
        case 'warning':
        case 'fault':
          return;
      }
    },
    registerIn(registry) {
      for (const metric of [wanted, runs, seconds, retries]) registry.registerMetric(metric);
    },
  };
};
