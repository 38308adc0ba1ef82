// Faults of the database port. Every message says what to do.
import type { BuildState } from '@eka-ci/core/build-state';
import type { DrvPath } from '@eka-ci/core/ids';

export type DatabaseErrorCode =
  | 'DATABASE_TOO_NEW'
  | 'DATABASE_LOCKED'
  | 'DATABASE_CORRUPT'
  | 'DATABASE_FOREIGN'
  | 'DATABASE_FULL'
  | 'DATABASE_READ_ONLY'
  | 'DATABASE_CANNOT_OPEN'
  | 'DATABASE_IO'
  | 'DATABASE_CLOSED'
  | 'DATABASE_BAD_CURSOR'
  | 'DATABASE_ROW_GONE'
  | 'DATABASE_BACKUP_EXISTS'
  | 'DATABASE_UNKNOWN_DERIVATION'
  | 'DATABASE_FAILED';

/** Thrown when the database cannot do what was asked; nothing of the call was kept. */
export class DatabaseError extends Error {
  readonly code: DatabaseErrorCode;
  constructor(code: DatabaseErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DatabaseError';
    this.code = code;
  }
}

/** Thrown when a transition leaves a state that the build is not in: somebody else was faster. */
export class StaleTransitionError extends Error {
  readonly code = 'BUILD_STATE_STALE';
  readonly drv: DrvPath;
  readonly expected: BuildState | null;
  readonly actual: BuildState | null;
  constructor(drv: DrvPath, expected: BuildState | null, actual: BuildState | null) {
    super(
      `${drv} is ${actual ?? 'not stored'}, not ${expected ?? 'new'}: ` +
        'nothing of the batch was recorded; read its state again and decide anew',
    );
    this.name = 'StaleTransitionError';
    this.drv = drv;
    this.expected = expected;
    this.actual = actual;
  }
}
