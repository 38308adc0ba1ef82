// Metrics of the derivation graph in memory.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { GraphCounts, GraphEvent } from '../pipeline/graph/shared-graph.ts';

export interface GraphMetrics {
  told(event: GraphEvent): void;
  registerIn(registry: Registry): void;
}

const prefix = 'eka_ci_graph_';
const reloadBuckets = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10];

const addGauges = (registers: Registry[], counts: () => GraphCounts): void => {
  new Gauge({
    name: `${prefix}nodes`,
    help: 'Derivations of the graph in memory, by the state of their build as far as the server saw it; a placeholder is known by its path only.',
    labelNames: ['state'],
    registers,
    collect() {
      this.reset();
      for (const [state, nodes] of Object.entries(counts().states)) this.set({ state }, nodes);
    },
  });
  const gauge = (name: string, help: string, read: (counts: GraphCounts) => number): Gauge =>
    new Gauge({
      name: `${prefix}${name}`,
      help,
      registers,
      collect() {
        this.set(read(counts()));
      },
    });
  gauge('capacity', 'Nodes that are kept in memory while not more are in use.', ({ capacity }) => capacity);
  gauge(
    'utilisation_ratio',
    'Nodes in memory by the capacity; above 1 more are in use than that.',
    ({ nodes, capacity }) => nodes / capacity,
  );
  gauge('pinned_nodes', 'Nodes that a running judgement holds.', ({ pinned }) => pinned);
  gauge('leases', 'Judgements and ordered builds that hold nodes.', ({ leases }) => leases);
  gauge('memory_bytes', 'An estimate of what the graph takes.', ({ memoryBytes }) => memoryBytes);
};

const addCounters = (registers: Registry[], counts: () => GraphCounts): void => {
  for (const [key, help] of [
    ['hits', 'Nodes that were wanted and in memory.'],
    ['misses', 'Nodes that were wanted and had to be read, from the database or from files.'],
  ] as const) {
    new Counter({
      name: `${prefix}${key}_total`,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(counts()[key]);
      },
    });
  }
  new Counter({
    name: `${prefix}evictions_total`,
    help: 'Nodes that were forgotten since there were more than the capacity, by why these.',
    labelNames: ['tier'],
    registers,
    collect() {
      this.reset();
      for (const [tier, nodes] of Object.entries(counts().evicted)) this.inc({ tier }, nodes);
    },
  });
};

/** @param counts read for each answer */
export const createGraphMetrics = (counts: () => GraphCounts): GraphMetrics => {
  const reloads = new Counter({
    name: `${prefix}reloads_total`,
    help: 'Nodes that were read from the database.',
    registers: [],
  });
  const reloadSeconds = new Histogram({
    name: `${prefix}reload_duration_seconds`,
    help: 'How long the database took over the nodes that one judgement lacked.',
    buckets: reloadBuckets,
    registers: [],
  });
  return {
    told(event) {
      if (event.kind !== 'reloaded') return;
      reloads.inc(event.nodes);
      reloadSeconds.observe(event.durationMs / 1000);
    },
    registerIn(registry) {
      addGauges([registry], counts);
      addCounters([registry], counts);
      registry.registerMetric(reloads);
      registry.registerMetric(reloadSeconds);
    },
  };
};
