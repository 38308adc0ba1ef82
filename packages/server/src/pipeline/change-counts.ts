// How many changes wait and are judged, for those who ask often: read again when something has changed.
import type { Database } from '../database/database.ts';

export interface ChangeCounts {
  now(): { readonly queued: number; readonly judging: number };
  /** Something has changed: they are read again, soon and once for many calls. */
  refresh(): void;
  /** Resolves when no reading is under way. */
  settled(): Promise<void>;
}

/** Counted up to this; who waits behind a thousand others does not ask for the number. */
const most = 1000;
const everyKind = ['branch', 'offered', 'group', 'baseline', 'submitted'] as const;

export const createChangeCounts = (database: Pick<Database, 'changes'>): ChangeCounts => {
  let counts = { queued: 0, judging: 0 };
  let reading: Promise<void> | null = null;
  let again = false;
  const count = async (state: 'queued' | 'judging'): Promise<number> => {
    const { changes } = await database.changes.list({ kinds: everyKind, states: [state], limit: most });
    return changes.length;
  };
  const read = async (): Promise<void> => {
    do {
      again = false;
      counts = { queued: await count('queued'), judging: await count('judging') };
    } while (again);
  };
  const refresh = (): void => {
    again = true;
    // The old counts stay where the database does not answer: whoever needed it has said so.
    reading ??= read()
      .catch(() => {})
      .finally(() => {
        reading = null;
      });
  };
  return { now: () => counts, refresh, settled: () => reading ?? Promise.resolve() };
};
