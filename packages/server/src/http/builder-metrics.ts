// Metrics of the builders: which of them answer, what they may run, and what is copied.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { BuilderCounts } from '../builder/builder-counts.ts';

const prefix = 'eka_ci_builder_';

/** Of every builder that is configured now. */
type ReadCounts = () => readonly BuilderCounts[];

const addGauges = (registers: Registry[], counts: ReadCounts): void => {
  const gauge = (name: string, help: string, read: (counted: BuilderCounts) => number): Gauge =>
    new Gauge({
      name: `${prefix}${name}`,
      help,
      labelNames: ['builder'],
      registers,
      collect() {
        this.reset();
        for (const counted of counts()) this.set({ builder: counted.name }, read(counted));
      },
    });
  gauge('up', '1 while the builder may be used, 0 while it is out.', ({ isUp }) => (isUp ? 1 : 0));
  gauge('connections', 'Connections to the builder that are open.', ({ connections }) => connections);
  new Gauge({
    name: `${prefix}slots`,
    help: 'Builds that may run at once, those of fixed-output derivations apart.',
    labelNames: ['builder', 'kind'],
    registers,
    collect() {
      this.reset();
      for (const { name, slots } of counts()) {
        this.set({ builder: name, kind: 'build' }, slots.build);
        this.set({ builder: name, kind: 'fixed_output' }, slots.fixedOutput);
      }
    },
  });
};

const addCounters = (registers: Registry[], counts: ReadCounts): void => {
  new Counter({
    name: `${prefix}copied_bytes_total`,
    help: 'Bytes of archives that were copied to the builder (inputs) and from it (outputs).',
    labelNames: ['builder', 'direction'],
    registers,
    collect() {
      this.reset();
      for (const { name, copied } of counts()) {
        this.inc({ builder: name, direction: 'to' }, copied.to);
        this.inc({ builder: name, direction: 'from' }, copied.from);
      }
    },
  });
  new Counter({
    name: `${prefix}outages_total`,
    help: 'How often the builder was out.',
    labelNames: ['builder'],
    registers,
    collect() {
      this.reset();
      for (const { name, outages } of counts()) this.inc({ builder: name }, outages);
    },
  });
};

export const addBuilderMetrics = (registry: Registry, counts: ReadCounts): void => {
  addGauges([registry], counts);
  addCounters([registry], counts);
};
