// The builders as whoever asks sees them: what each offers, and which of them are out.
import type { BuilderPool, Outage, PooledBuilder } from '../../builder/builder-pool.ts';

export interface BuilderFact extends Omit<PooledBuilder, 'build'> {
  /** Null: it may be used. */
  readonly outage: Outage | null;
}

export interface BuilderFacts {
  /** The local one first; names are unique. Cheap: it reads memory. */
  builders(): readonly BuilderFact[];
}

export const builderFactsOf = (pool: Pick<BuilderPool, 'builders' | 'outageOf'>): BuilderFacts => ({
  builders: () =>
    pool.builders().map(({ name, isLocal, systems, features, mandatoryFeatures, speed, slots }) => ({
      name,
      isLocal,
      systems,
      features,
      mandatoryFeatures,
      speed,
      slots,
      outage: pool.outageOf(name),
    })),
});
