// The embedded driver of the database port: SQLite in a thread of its own.
import { Worker } from 'node:worker_threads';
import type { Database } from '../../database.ts';
import { databaseOver } from '../port.ts';
import type { SqliteOptions } from './sqlite-connection.ts';
import { callsOn } from './worker-calls.ts';

export type { SqliteOptions } from './sqlite-connection.ts';

/**
 * Opens, and where needed makes or upgrades, the database at `path`. This process is its only server until it
 * is closed or the process ends, however it ends.
 * @throws DatabaseError DATABASE_LOCKED, _TOO_NEW, _CORRUPT, _FOREIGN, _FULL, _READ_ONLY, _CANNOT_OPEN
 */
export const openSqliteDatabase = async (options: SqliteOptions): Promise<Database> => {
  const worker = new Worker(new URL('./sqlite-worker.ts', import.meta.url), {
    name: 'database',
    workerData: options,
    // The flags of the process (a debugger's, a test runner's) are not for this thread.
    execArgv: [],
  });
  const { calls, opened, close } = callsOn(worker);
  try {
    await opened;
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  return databaseOver(calls, close);
};
