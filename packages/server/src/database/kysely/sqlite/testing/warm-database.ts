// Opens databases for tests in threads that stay for the next: to start one costs more than most tests do. What the tests
// of the driver itself open has a thread of its own, as in a server.
import type { Worker } from 'node:worker_threads';
import type { Database } from '../../../database.ts';
import { databaseIn, type SqliteOptions, startDatabaseThread } from '../sqlite-database.ts';
import { callsOn, type WorkerCalls } from '../worker-calls.ts';
import type { WorkerRequest } from '../worker-messages.ts';

/** Of this test worker; they keep no process alive. */
const idle: Worker[] = [];

const reopen = (worker: Worker, options: SqliteOptions): void => {
  worker.ref();
  worker.postMessage({ kind: 'open', options } satisfies WorkerRequest);
};

const keepAfter = (worker: Worker, { close, ...calls }: WorkerCalls): WorkerCalls => {
  let closed: Promise<void> | null = null;
  const closeAndKeep = async (): Promise<void> => {
    await close();
    if (worker.threadId === -1) return; // It died.
    worker.unref();
    idle.push(worker);
  };
  return {
    ...calls,
    close: () => {
      closed ??= closeAndKeep();
      return closed;
    },
  };
};

/** As `openSqliteDatabase`, with the same errors. */
export const openWarmDatabase = (options: SqliteOptions): Promise<Database> => {
  const kept = idle.pop();
  const worker = kept ?? startDatabaseThread(options);
  const calls = keepAfter(worker, callsOn(worker, { keepsThread: true }));
  if (kept !== undefined) reopen(kept, options);
  return databaseIn(worker, { options, calls });
};
