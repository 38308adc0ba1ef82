// The builder of this server's own store as one of a pool, and a pool of nothing else.
import type { Builder } from '../builder.ts';
import type { BuilderCounts, CountedBuilderPool } from '../builder-counts.ts';
import type { BuilderSlots, PooledBuilder } from '../builder-pool.ts';

/** The builder stays the caller's to close. */
export const poolLocal = (builder: Builder, slots: BuilderSlots): PooledBuilder => ({
  name: builder.name,
  systems: builder.systems,
  features: builder.features,
  slots,
  speed: 1,
  mandatoryFeatures: [],
  isLocal: true,
  build: (request, observer, signal) => builder.build(request, observer, signal),
});

/** It is never out, and nothing is copied. */
export const countsOfLocal = ({ name, slots }: PooledBuilder): BuilderCounts => ({
  ...{ name, slots },
  isUp: true,
  outages: 0,
  connections: 0,
  copied: { to: 0, from: 0 },
});

/** It is never out, and never changes. */
export const createLocalPool = (local: PooledBuilder): CountedBuilderPool => {
  const all = [local];
  return {
    builders: () => all,
    counts: () => all.map(countsOfLocal),
    outageOf: () => null,
    lost() {},
    answered() {},
    watch: () => () => {},
    close: () => Promise.resolve(),
  };
};
