// Metrics of the pushes to caches: what became of them, how long they took, and what waits.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { PushCounts } from '../database/database.ts';
import type { PushQueueEvent } from '../pipeline/publish/push-queue.ts';
import type { MetricSet } from './metric-set.ts';

export interface PushMetrics extends MetricSet {
  told(event: PushQueueEvent): void;
}

export interface PushMetricSources {
  /** Asked only when somebody reads the metrics. */
  readonly counts: () => Promise<readonly PushCounts[]>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

const prefix = 'eka_ci_cache_push';
const buckets = [0.1, 0.5, 2, 10, 60, 300, 900, 3600];

/** Of no registry so far: they are made before there is one. */
const createCounters = () => {
  const registers: Registry[] = [];
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Counter({ name: `${prefix}${name}`, help, labelNames: [...labelNames], registers });
  return {
    pushes: counter(
      'es_total',
      'Pushes by what became of them: pushed, present (the cache had it), dropped (not pushed at all), passing and refused (tried again).',
      ['cache', 'outcome'],
    ),
    paths: counter('_paths_total', 'Store paths that were sent, where the cache says so.', ['cache']),
    bytes: counter('_bytes_total', 'Bytes that were sent, where the cache says so.', ['cache']),
    seconds: new Histogram({
      name: `${prefix}_duration_seconds`,
      help: 'From the begin of a push to its end, with all that went in one go with it.',
      labelNames: ['cache', 'outcome'],
      buckets,
      registers,
    }),
  };
};

const addGauges = (registry: Registry, { counts, clock }: PushMetricSources): void => {
  const gauge = (name: string, help: string, read: (counted: PushCounts) => number): Gauge =>
    new Gauge({
      name: `${prefix}_${name}`,
      help,
      labelNames: ['cache'],
      registers: [registry],
      async collect() {
        const counted = await counts();
        this.reset();
        for (const one of counted) this.set({ cache: one.cache }, read(one));
      },
    });
  gauge('queued', 'Pushes that wait or run.', ({ waiting }) => waiting);
  gauge('failing', 'Of these, those whose last attempt failed.', ({ failing }) => failing);
  gauge('oldest_seconds', 'For how long the oldest of them has waited.', ({ waitingSinceMs }) =>
    Math.max(0, (clock() - waitingSinceMs) / 1000),
  );
};

export const createPushMetrics = (sources: PushMetricSources): PushMetrics => {
  const { pushes, paths, bytes, seconds } = createCounters();
  return {
    told(event) {
      if (event.kind === 'sent') {
        const { cache, sent } = event;
        if (sent.paths !== null) paths.inc({ cache }, sent.paths);
        if (sent.bytes !== null) bytes.inc({ cache }, sent.bytes);
        return;
      }
      if (event.kind !== 'ending') return;
      const { cache, ending } = event;
      const outcome = ending.kind === 'failed' ? ending.fault.kind : ending.kind;
      pushes.inc({ cache, outcome });
      if ('durationMs' in ending) seconds.observe({ cache, outcome }, ending.durationMs / 1000);
    },
    registerIn(registry) {
      for (const metric of [pushes, paths, bytes]) registry.registerMetric(metric);
      registry.registerMetric(seconds);
      addGauges(registry, sources);
    },
  };
};
