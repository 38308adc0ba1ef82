// Metrics of the server's upkeep: free space, what was removed, whether it is drained.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { HttpUpkeep, RemovedThings } from './upkeep-facts.ts';

const prefix = 'eka_ci_';

/** By the label `kind`. */
const removedKinds = [
  'logs',
  'roots',
  'outputRoots',
  'mirrors',
  'workFolders',
  'changes',
  'jobsets',
  'deliveries',
] as const satisfies readonly (keyof RemovedThings)[];

const labelOf = (kind: (typeof removedKinds)[number]): string =>
  kind.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const addGauges = (registers: Registry[], upkeep: HttpUpkeep): void => {
  new Gauge({
    name: `${prefix}disk_free_bytes`,
    help: 'What may still be written on the disk of a place; none where that cannot be read.',
    labelNames: ['place'],
    registers,
    async collect() {
      this.reset();
      for (const { name, freeBytes } of await upkeep.readDisks()) {
        if (freeBytes !== null) this.set({ place: name }, freeBytes);
      }
    },
  });
  new Gauge({
    name: `${prefix}draining`,
    help: '1 while an operator drains the server: nothing begins.',
    registers,
    collect() {
      this.set(upkeep.drain.isDraining() ? 1 : 0);
    },
  });
};

const addCounters = (registers: Registry[], upkeep: HttpUpkeep): void => {
  new Counter({
    name: `${prefix}retention_removed_total`,
    help: 'What was removed since the start because it was older than it is kept.',
    labelNames: ['kind'],
    registers,
    collect() {
      this.reset();
      const removed = upkeep.removed();
      for (const kind of removedKinds) this.inc({ kind: labelOf(kind) }, removed?.[kind] ?? 0);
    },
  });
  for (const [key, name, help] of [
    ['logBytes', 'retention_removed_log_bytes_total', 'Bytes of the build logs that were removed.'],
    ['sweeps', 'retention_sweeps_total', 'How often it was looked what is older than it is kept.'],
    ['faults', 'retention_faults_total', 'How often some of that could not be removed.'],
  ] as const) {
    new Counter({
      name: `${prefix}${name}`,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(upkeep.removed()?.[key] ?? 0);
      },
    });
  }
};

export const addUpkeepMetrics = (registry: Registry, upkeep: HttpUpkeep): void => {
  addGauges([registry], upkeep);
  addCounters([registry], upkeep);
};
