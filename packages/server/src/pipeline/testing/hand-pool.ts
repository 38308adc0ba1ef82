// A pool of machines that a test takes away and brings back.
import type { Builder } from '../../builder/builder.ts';
import type { BuilderPool, Outage, PooledBuilder } from '../../builder/builder-pool.ts';

export interface HandPool {
  readonly pool: BuilderPool;
  /** Machines that are away, by name; whoever changes it by hand tells nobody. */
  readonly out: Map<string, Outage>;
  /** It is there again. */
  back(name: string): void;
  /** What is configured from now on. */
  replace(machines: readonly PooledBuilder[]): void;
}

export const createHandPool = (machines: readonly PooledBuilder[]): HandPool => {
  let all = machines;
  const out = new Map<string, Outage>();
  const watchers = new Set<() => void>();
  const tell = (): void => [...watchers].forEach((watcher) => watcher());
  const pool: BuilderPool = {
    builders: () => all,
    outageOf: (name) => {
      if (all.some((one) => one.name === name)) return out.get(name) ?? null;
      return { reason: 'it is configured no more', retryAtMs: 0 };
    },
    lost: (name, reason) => void out.set(name, { reason, retryAtMs: 0 }),
    answered: () => {},
    watch: (onChange) => {
      watchers.add(onChange);
      return () => void watchers.delete(onChange);
    },
    close: () => Promise.resolve(),
  };
  return {
    pool,
    out,
    back(name) {
      out.delete(name);
      tell();
    },
    replace(machinesNow) {
      all = machinesNow;
      tell();
    },
  };
};

type Machine = Pick<PooledBuilder, 'slots' | 'speed' | 'mandatoryFeatures' | 'isLocal'>;

/** Another machine than the server's own, unless `more` says so. */
export const handMachine = (name: string, builder: Builder, more: Partial<Machine> = {}): PooledBuilder => ({
  ...builder,
  slots: { build: 2, fixedOutput: 1 },
  speed: 1,
  mandatoryFeatures: [],
  isLocal: false,
  ...more,
  name,
});
