// A shared graph over files and a database of its own, with a clock that the test moves.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DrvPath } from '@eka-ci/core/ids';
import type { Database } from '../../../database/database.ts';
import { openWarmDatabase } from '../../../database/kysely/sqlite/testing/warm-database.ts';
import { createSharedGraph, type GraphEvent, type GraphLease, type SharedGraph } from '../shared-graph.ts';
import { storeDir } from './graph-changes.ts';

export const hourMs = 3_600_000;
export const never: AbortSignal = new AbortController().signal;

export interface World {
  readonly shared: SharedGraph;
  readonly database: Database;
  readonly events: GraphEvent[];
  /** Where the files are. */
  readonly place: string;
  now: number;
}

export interface Worlds {
  /** For files that several use. */
  readonly top: string;
  /** @param given what is shared with others; the rest is new */
  open(capacity: number, given?: { place?: string; database?: Database }): Promise<World>;
  close(): Promise<void>;
}

export const createWorlds = (): Worlds => {
  const top = mkdtempSync(join(tmpdir(), 'eka-ci-shared-graph-'));
  const opened: Database[] = [];
  let places = 0;
  const openDatabase = async (): Promise<Database> => {
    const path = join(top, `${places++}.db`);
    const database = await openWarmDatabase({ path, durability: 'process-death' });
    opened.push(database);
    return database;
  };
  return {
    top,
    async open(capacity, given = {}) {
      const place = given.place ?? join(top, `store-${places++}`);
      const database = given.database ?? (await openDatabase());
      const events: GraphEvent[] = [];
      const world: World = {
        database,
        events,
        place,
        now: 1000 * hourMs,
        shared: createSharedGraph({
          files: { storeDir, realStoreDir: place },
          database,
          capacity,
          clock: () => world.now,
          onEvent: (event) => events.push(event),
        }),
      };
      return world;
    },
    async close() {
      for (const database of opened) await database.close();
      rmSync(top, { recursive: true, force: true });
    },
  };
};

export const leaseOf = async (
  { shared }: Pick<World, 'shared'>,
  roots: readonly DrvPath[],
): Promise<GraphLease> => {
  const lease = shared.lease();
  await lease.ingest(roots, never);
  return lease;
};
