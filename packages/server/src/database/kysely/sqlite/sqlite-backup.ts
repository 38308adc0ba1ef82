// Thread: writes a copy of a database file, as of one moment, over a connection of its own. Readers and writers of the
// database go on meanwhile; the thread ends with its work.
import { closeSync, existsSync, fsyncSync, openSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { DatabaseError } from '../../database-error.ts';
import { databaseErrorOf } from './sqlite-error.ts';
import { type ErrorMessage, writeError } from './worker-messages.ts';

export interface BackupRequest {
  readonly from: string;
  readonly to: string;
}

/** Null where all went well. */
export type BackupReply = ErrorMessage | null;

const syncFile = (path: string): void => {
  const file = openSync(path, 'r+');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
};

const copy = ({ from, to }: BackupRequest): void => {
  if (existsSync(to)) {
    const message = `${to} exists already: name a file that does not, nothing is overwritten`;
    throw new DatabaseError('DATABASE_BACKUP_EXISTS', message);
  }
  try {
    const source = new DatabaseSync(from, { readOnly: true, timeout: 5000 });
    try {
      source.prepare('vacuum into ?').run(to);
    } finally {
      source.close();
    }
    syncFile(to);
  } catch (error) {
    // Half a backup would be taken for a whole one.
    rmSync(to, { force: true });
    throw databaseErrorOf(error, to);
  }
};

const run = (request: BackupRequest): BackupReply => {
  try {
    copy(request);
    return null;
  } catch (error) {
    return writeError(databaseErrorOf(error, request.to));
  }
};

parentPort?.postMessage(run(workerData as BackupRequest)); // Given by sqlite-database.ts, which has the same type.
