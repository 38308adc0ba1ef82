// When the offer of builders has changed: changes for which something was missing, and is there now, are judged again.
import type { BuilderPool, PooledBuilder } from '../builder/builder-pool.ts';
import type { ChangeListing, Database, UnsatisfiableChange } from '../database/database.ts';
import { buildersFor } from './builds/placement.ts';

export interface SatisfiableDeps {
  readonly database: Pick<Database, 'changes'>;
  /** All that are configured, also those that do not answer now. */
  readonly offers: readonly PooledBuilder[];
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

const canBuildSome = (offers: readonly PooledBuilder[], { asked }: UnsatisfiableChange): boolean =>
  asked.some(({ system, requiredFeatures, fixedOutput }) => {
    const slot = fixedOutput ? 'fixedOutput' : 'build';
    return buildersFor(offers, { system, requiredFeatures, slot, preferLocal: false }).length > 0;
  });

/**
 * To be called when a builder came or changed, and at the start of a server, for its machines file may be another one by
 * then. What is being judged at the moment is queued again by its end, should something be missing for it.
 * @returns what is queued now @throws DatabaseError
 */
export const requeueSatisfiable = async ({
  database: { changes },
  offers,
  clock,
}: SatisfiableDeps): Promise<readonly ChangeListing[]> => {
  const requeued: ChangeListing[] = [];
  for (const change of await changes.offerChanged()) {
    if (!canBuildSome(offers, change)) continue;
    const queued = await changes.requeue(change.id, { atMs: clock() });
    if (queued !== null) requeued.push(queued);
  }
  return requeued;
};

export interface SatisfiableWatchDeps extends Omit<SatisfiableDeps, 'offers'> {
  readonly pool: Pick<BuilderPool, 'builders' | 'watch'>;
  /** Told of what waits to be judged again. */
  readonly onRequeued: (changes: readonly ChangeListing[]) => void;
  /** The database did not answer: it is asked again with the next change of the pool, or the next start. */
  readonly onFault: (error: unknown) => void;
}

export interface SatisfiableWatch {
  /** Nothing is queued any more when it resolves. Idempotent. */
  stop(): Promise<void>;
}

/** What they build for, as one text: not how many at once, nor whether they answer now. */
const offerText = (builders: readonly PooledBuilder[]): string =>
  JSON.stringify(
    builders
      .map(({ systems, features, mandatoryFeatures, slots }) =>
        JSON.stringify([systems, features, mandatoryFeatures, slots.build > 0, slots.fixedOutput > 0]),
      )
      .sort(),
  );

/** Looks at once, and whenever another offer is made; a builder that comes and goes is the same offer. */
export const watchSatisfiable = (deps: SatisfiableWatchDeps): SatisfiableWatch => {
  const { pool, database, clock, onRequeued, onFault } = deps;
  let seen: string | null = null;
  let work: Promise<void> = Promise.resolve();
  const look = async (): Promise<void> => {
    const offers = pool.builders();
    const offer = offerText(offers);
    if (offer === seen) return;
    seen = offer;
    try {
      const requeued = await requeueSatisfiable({ database, offers, clock });
      if (requeued.length > 0) onRequeued(requeued);
    } catch (error) {
      seen = null;
      onFault(error);
    }
  };
  const lookSoon = (): void => {
    work = work.then(look);
  };
  const unwatch = pool.watch(lookSoon);
  lookSoon();
  return {
    stop() {
      unwatch();
      return work;
    },
  };
};
