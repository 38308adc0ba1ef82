// Metrics of the merges that people asked for: what became of them.
import { Counter, type Registry } from 'prom-client';
import type { MergeDeskEvent } from '../pipeline/merging/merge-desk.ts';
import type { MetricSet } from './metric-set.ts';

export interface MergeMetrics extends MetricSet {
  told(event: MergeDeskEvent): void;
}

const prefix = 'eka_ci_merge';

export const createMergeMetrics = (): MergeMetrics => {
  const registers: Registry[] = [];
  const merges = new Counter({
    name: `${prefix}s_total`,
    help: 'Merges that people asked for, by what happened to them: asked, queued (in the merge queue of the forge), merged, refused, moved, withdrawn, replaced, closed.',
    labelNames: ['outcome'],
    registers,
  });
  const faults = new Counter({
    name: `${prefix}_faults_total`,
    help: 'Merges that could not be carried out; passing: tried again.',
    labelNames: ['passing'],
    registers,
  });
  return {
    told(event) {
      switch (event.kind) {
        case 'put-off':
        case 'given-up':
          return faults.inc({ passing: String(event.kind === 'put-off') });
        case 'asked':
        case 'queued':
        case 'merged':
        case 'refused':
        case 'moved':
        case 'withdrawn':
        case 'replaced':
        case 'closed':
          return merges.inc({ outcome: event.kind });
        case 'merging':
        case 'told':
        case 'database-fault':
          return;
      }
    },
    registerIn(registry) {
      registry.registerMetric(merges);
      registry.registerMetric(faults);
    },
  };
};
