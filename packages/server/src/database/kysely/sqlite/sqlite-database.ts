// The embedded driver of the database port: SQLite in a thread of its own.
import { once } from 'node:events';
import { getCompileCacheDir } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { Database } from '../../database.ts';
import { databaseOver } from '../port.ts';
import type { BackupReply, BackupRequest } from './sqlite-backup.ts';
import type { SqliteOptions } from './sqlite-connection.ts';
import { callsOn, type WorkerCalls } from './worker-calls.ts';
import { readError } from './worker-messages.ts';

export type { SqliteOptions } from './sqlite-connection.ts';

const threadOptions = (name: string, workerData: SqliteOptions | BackupRequest) => {
  const compiled = getCompileCacheDir();
  return {
    name,
    workerData,
    // The flags of the process (a debugger's, a test runner's) are not for this thread.
    execArgv: [],
    // A thread does not keep its compiled code by itself where its process does.
    env: compiled === undefined ? process.env : { ...process.env, NODE_COMPILE_CACHE: compiled },
  };
};

const backUp = async (request: BackupRequest): Promise<void> => {
  const worker = new Worker(new URL('./sqlite-backup.ts', import.meta.url), threadOptions('backup', request));
  const [reply] = (await once(worker, 'message')) as [BackupReply]; // From sqlite-backup.ts, which sends no other.
  if (reply !== null) throw readError(reply);
};

/** A thread that opens the database at once. */
export const startDatabaseThread = (options: SqliteOptions): Worker =>
  new Worker(new URL('./sqlite-worker.ts', import.meta.url), threadOptions('database', options));

/** The database that the thread was told to open. @throws DatabaseError; the thread has ended then */
export const databaseIn = async (
  worker: Worker,
  { options, calls: { calls, opened, close } }: { options: SqliteOptions; calls: WorkerCalls },
): Promise<Database> => {
  try {
    await opened;
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  return databaseOver(calls, { close, backup: (to) => backUp({ from: options.path, to }) });
};

/**
 * Opens, and where needed makes or upgrades, the database at `path`. This process is its only server until it
 * is closed or the process ends, however it ends.
 * @throws DatabaseError DATABASE_LOCKED, _TOO_NEW, _CORRUPT, _FOREIGN, _FULL, _READ_ONLY, _CANNOT_OPEN
 */
export const openSqliteDatabase = async (options: SqliteOptions): Promise<Database> => {
  const worker = startDatabaseThread(options);
  return await databaseIn(worker, { options, calls: callsOn(worker) });
};
