// What was seen at a forge, as rows: applied once, and told to whoever judges.
import { randomUUID } from 'node:crypto';
import type { AppliedUpdate, BranchUpdate, Database } from '../../database/database.ts';
import type { HostedForge } from '../../forge/hosted-forge.ts';
import type { SeenUpdate } from './compare-listing.ts';
import { sightKey, writePayload } from './hosted-delivery.ts';
import type { HostedTaken } from './hosted-taken.ts';

export interface SeenUpdatesDeps {
  readonly forge: Pick<HostedForge, 'host'>;
  readonly database: Pick<Database, 'changes' | 'deliveries'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Must not throw. */
  readonly onTaken: (taken: HostedTaken) => void;
  /** Another repository has the name under which something was seen; nothing came of that. Must not throw. */
  readonly onRefused: () => void;
}

/** All methods reject with DatabaseError, and say whether anything came of it. */
export interface SeenUpdates {
  /** Somebody told it, by a stored delivery: that is done then. */
  applyTold(deliveryKey: string, update: BranchUpdate): Promise<boolean>;
  /** Nobody told it: it gets rows of its own. All of one repository. */
  apply(seen: readonly SeenUpdate[]): Promise<boolean>;
}

/** In one transaction, after which others may use the database. */
export const updatesAtOnce = 500;

export function* chunksOf<T>(list: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < list.length; at += size) yield list.slice(at, at + size);
}

export const createSeenUpdates = (deps: SeenUpdatesDeps): SeenUpdates => {
  const { forge, database, clock, onTaken, onRefused } = deps;
  const tellTaken = (repository: string | undefined, applied: readonly AppliedUpdate[]): boolean => {
    if (applied.some(({ isOfAnother }) => isOfAnother === true)) onRefused();
    const queued = applied.flatMap((one) => (one.queued === null ? [] : [one.queued]));
    const awaiting = applied.flatMap((one) => (one.awaiting === null ? [] : [one.awaiting]));
    const ended = applied.flatMap((one) => one.ended);
    if (repository === undefined || queued.length + awaiting.length + ended.length === 0) return false;
    onTaken({ repository, queued, awaiting, ended });
    return true;
  };
  return {
    async applyTold(deliveryKey, update) {
      const applied = await database.changes.apply([{ deliveryKey, update }], clock());
      return tellTaken(update.repository, applied);
    },
    async apply(seen) {
      let isChanged = false;
      for (const some of chunksOf(seen, updatesAtOnce)) {
        const rows = some.map((one) => ({ ...one, key: sightKey(forge.host, randomUUID()) }));
        await database.deliveries.receive(
          rows.map(({ key, sight }) => ({ key, payload: writePayload(sight), receivedAtMs: clock() })),
        );
        const updates = rows.map(({ key, update }) => ({ deliveryKey: key, update }));
        const applied = await database.changes.apply(updates, clock());
        isChanged = tellTaken(some[0]?.update.repository, applied) || isChanged;
      }
      return isChanged;
    },
  };
};
