// The metrics of the server: of the process, of requests, and of whatever registers its own here.
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { z } from 'zod';
import { addBuilderMetrics } from './builder-metrics.ts';
import type { HttpDeps } from './http-options.ts';
import { addLiveMetrics } from './live-metrics.ts';
import { addUpkeepMetrics } from './upkeep-metrics.ts';
import type { WebhookMetrics } from './webhook-metrics.ts';

/** Whatever is measured, it is measured here; each is asked only when somebody reads the metrics. */
export interface MetricSources
  extends Pick<
    HttpDeps,
    | 'builds'
    | 'status'
    | 'isReady'
    | 'version'
    | 'upkeep'
    | 'workMetrics'
    | 'graphMetrics'
    | 'metricSets'
    | 'builderCounts'
  > {
  readonly live: Pick<HttpDeps['live'], 'counts'>;
  readonly webhooks?: { readonly metrics: Pick<WebhookMetrics, 'registerIn'> };
}

export interface MetricDescription {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly labelNames: readonly string[];
}

export interface ServerMetrics {
  readonly contentType: string;
  /** @param route the pattern, so that the number of series is bounded */
  observe(method: string, route: string, answer: { status: number; durationMs: number }): void;
  read(): Promise<string>;
  /** What there is, by name; nothing is measured for it. */
  describe(): MetricDescription[];
  close(): void;
}

const prefix = 'eka_ci_';
const durationBuckets = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60];
/** Methods of which the answers are counted apart; any other text is somebody's invention. */
const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

const addGauges = (registry: Registry, deps: MetricSources): void => {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number): Gauge =>
    new Gauge({
      name: `${prefix}${name}`,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge('builds_active', 'Builds that run now.', () => deps.builds.active().length);
  gauge('builds_queued', 'Builds that wait for inputs or for a slot.', () => deps.builds.queuedCount());
  gauge('build_slots', 'Builds that may run at once.', () => deps.status().builds.slots);
  gauge('changes_queued', 'Changes that wait to be judged.', () => deps.status().changes.queued);
  gauge('changes_judging', 'Changes that are being judged.', () => deps.status().changes.judging);
  gauge('ready', '1 while the server takes work.', () => (deps.isReady() ? 1 : 0));
  new Gauge({
    name: `${prefix}info`,
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'nix'],
    registers,
    collect() {
      this.set({ version: deps.version, nix: deps.status().nixVersion }, 1);
    },
  });
};

/** The library keeps the labels, and its types do not tell. */
const Described = z.object({
  name: z.string(),
  type: z.string(),
  help: z.string(),
  labelNames: z.array(z.string()),
});

export const createServerMetrics = (deps: MetricSources): ServerMetrics => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix });
  addGauges(registry, deps);
  addUpkeepMetrics(registry, deps.upkeep);
  addLiveMetrics(registry, deps.live);
  deps.workMetrics.registerIn(registry);
  deps.graphMetrics.registerIn(registry);
  addBuilderMetrics(registry, deps.builderCounts);
  deps.webhooks?.metrics.registerIn(registry);
  for (const metrics of deps.metricSets ?? []) metrics.registerIn(registry);
  const requests = new Histogram({
    name: `${prefix}http_request_duration_seconds`,
    help: 'From the first byte of a request to the last of its answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: durationBuckets,
    registers: [registry],
  });
  return {
    contentType: registry.contentType,
    observe(method, route, { status, durationMs }) {
      const known = knownMethods.has(method) ? method : 'other';
      requests.observe({ method: known, route, status: String(status) }, durationMs / 1000);
    },
    read: () => registry.metrics(),
    describe: () =>
      registry
        .getMetricsAsArray()
        .map((metric) => Described.parse(metric))
        .toSorted((one, other) => (one.name < other.name ? -1 : 1)),
    close: () => registry.clear(),
  };
};
