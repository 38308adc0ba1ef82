// Tells a database that will never answer again from one that is only busy or full: a server without one must end, and
// be started anew.
import type { Database } from '../../database/database.ts';
import { errorCodeOf } from '../../lib/error-code.ts';

/** A simple question that meets one of these will not be answered by asking again. */
const forGood: readonly string[] = ['DATABASE_CLOSED', 'DATABASE_FAILED', 'DATABASE_CORRUPT'];

export interface DatabaseWatch {
  /** Something could not be asked: finds out whether anything can. */
  look(): void;
}

/** @param onLost told once, with the reason */
export const createDatabaseWatch = (
  database: Pick<Database, 'meta'>,
  onLost: (error: unknown) => void,
): DatabaseWatch => {
  let looking = false;
  let lost = false;
  const ask = async (): Promise<void> => {
    try {
      await database.meta.schemaVersion();
    } catch (error) {
      if (!forGood.includes(errorCodeOf(error))) return;
      lost = true;
      onLost(error);
    }
  };
  return {
    look() {
      if (looking || lost) return;
      looking = true;
      const looked = (): void => {
        looking = false;
      };
      ask().then(looked, looked);
    },
  };
};
