// A copy of the database as a stream: written in whole to a private file, which has no name any more while it is read.
import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCodeOf } from '../lib/error-code.ts';
import { HttpError } from './errors.ts';
import type { HttpUpkeep } from './upkeep-facts.ts';

export interface DatabaseCopy {
  /** The caller closes it, and with it the copy is gone. */
  readonly handle: FileHandle;
  readonly sizeBytes: number;
}

const explain = (error: unknown): unknown =>
  errorCodeOf(error) === 'DATABASE_FULL' || errorCodeOf(error) === 'ENOSPC'
    ? new HttpError(
        'BACKUP_NO_ROOM',
        'there is no room for a copy of the database beside it: free as much space there as the database takes',
        { cause: error },
      )
    : error;

/** @throws HttpError BACKUP_NO_ROOM, DatabaseError; nothing is left behind then */
export const copyDatabase = async (backup: HttpUpkeep['backup']): Promise<DatabaseCopy> => {
  const path = join(backup.folder, `${randomUUID()}.db`);
  try {
    await backup.write(path);
    const handle = await open(path, 'r');
    const { size } = await handle.stat();
    return { handle, sizeBytes: size };
  } catch (error) {
    throw explain(error);
  } finally {
    await rm(path, { force: true });
  }
};
