// SQLite's result codes as faults of the port (https://www.sqlite.org/rescode.html).
import { DatabaseError, type DatabaseErrorCode, StaleTransitionError } from '../../database-error.ts';

const faults: Readonly<Record<number, { code: DatabaseErrorCode; advice: string }>> = {
  5: {
    code: 'DATABASE_LOCKED',
    advice: 'another process is using it: stop that process, or wait and try again',
  },
  6: {
    code: 'DATABASE_LOCKED',
    advice: 'another process is using it: stop that process, or wait and try again',
  },
  8: { code: 'DATABASE_READ_ONLY', advice: 'make the file, its directory and their file system writable' },
  10: { code: 'DATABASE_IO', advice: 'the disk failed: look at the kernel log, free space and mount state' },
  11: { code: 'DATABASE_CORRUPT', advice: 'it is damaged: restore a backup, or move it away to begin anew' },
  13: { code: 'DATABASE_FULL', advice: 'the disk is full: free space; nothing of what was on disk is lost' },
  14: {
    code: 'DATABASE_CANNOT_OPEN',
    advice: 'check that the directory exists and that this user may write there',
  },
  26: {
    code: 'DATABASE_CORRUPT',
    advice: 'it is no SQLite database: check the path, or move that file away',
  },
};

const resultCode = (error: unknown): number | null =>
  error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff // The rest is SQLite's finer distinction, kept in the cause.
    : null;

/** The fault that an error while using the database at `path` is; the port's own errors pass unchanged. */
export const databaseErrorOf = (error: unknown, path: string): DatabaseError | StaleTransitionError => {
  if (error instanceof DatabaseError || error instanceof StaleTransitionError) return error;
  const code = resultCode(error);
  const fault = code === null ? undefined : faults[code];
  const reason = error instanceof Error ? error.message : String(error);
  if (fault === undefined) {
    const advice = 'this is a defect of EkaCI: please report it with this message';
    return new DatabaseError('DATABASE_FAILED', `database ${path}: ${reason}: ${advice}`, { cause: error });
  }
  return new DatabaseError(fault.code, `database ${path}: ${reason}: ${fault.advice}`, { cause: error });
};
