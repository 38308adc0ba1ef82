// One server a database file: a lock that the kernel drops with its holder, however that ends.
//
// It is SQLite's own lock on an empty file beside the database, so that the database itself stays open to
// readers and backups. The file is never removed: a lock on a removed file would keep nobody out.
import { DatabaseSync } from 'node:sqlite';
import { DatabaseError } from '../../database-error.ts';

export interface OwnerLock {
  release(): void;
}

const isBusy = (error: unknown): boolean =>
  error instanceof Error && 'errcode' in error && error.errcode === 5; // SQLITE_BUSY

/** @throws DatabaseError DATABASE_LOCKED when another process, or this one elsewhere, holds it */
export const takeOwnerLock = (databasePath: string): OwnerLock => {
  const lock = new DatabaseSync(`${databasePath}.lock`, { timeout: 500 });
  try {
    lock.exec('begin exclusive');
  } catch (error) {
    lock.close();
    if (!isBusy(error)) throw error;
    throw new DatabaseError(
      'DATABASE_LOCKED',
      `database ${databasePath} is in use by another EkaCI server: stop that one, or give this one another db_path`,
      { cause: error },
    );
  }
  return { release: () => lock.close() };
};
