// What goes between the database's thread and the rest of the server.
import { DatabaseError, type DatabaseErrorCode, StaleTransitionError } from '../../database-error.ts';
import type { SqliteOptions } from './sqlite-connection.ts';

/** One call, which is one transaction; `close` comes last, or before the `open` of another database where it is kept. */
export type WorkerRequest =
  | {
      readonly kind: 'call';
      readonly id: number;
      readonly aggregate: string;
      readonly method: string;
      readonly args: readonly unknown[];
    }
  | { readonly kind: 'close'; readonly keepsThread: boolean }
  | { readonly kind: 'open'; readonly options: SqliteOptions };

export type WorkerReply =
  | { readonly kind: 'opened' }
  | { readonly kind: 'not-opened'; readonly error: ErrorMessage }
  /** Only where the thread is kept: else its end tells. */
  | { readonly kind: 'closed' }
  | { readonly kind: 'value'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: ErrorMessage };

/** Errors lose their class and fields on the way between threads, so they travel as data. */
export type ErrorMessage =
  | {
      readonly kind: 'database';
      readonly code: DatabaseErrorCode;
      readonly message: string;
      readonly cause: string | null;
    }
  | ({ readonly kind: 'stale' } & Pick<StaleTransitionError, 'drv' | 'expected' | 'actual'>);

export const writeError = (error: DatabaseError | StaleTransitionError): ErrorMessage => {
  if (error instanceof StaleTransitionError) {
    return { kind: 'stale', drv: error.drv, expected: error.expected, actual: error.actual };
  }
  const { code, message, cause } = error;
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : cause;
  return { kind: 'database', code, message, cause: typeof text === 'string' ? text : null };
};

export const readError = (error: ErrorMessage): DatabaseError | StaleTransitionError => {
  switch (error.kind) {
    case 'stale':
      return new StaleTransitionError(error.drv, error.expected, error.actual);
    case 'database':
      return new DatabaseError(error.code, error.message, error.cause === null ? {} : { cause: error.cause });
  }
};

const ownBuffers = (value: unknown, found: Set<ArrayBuffer>): void => {
  if (!ArrayBuffer.isView(value)) return;
  const { buffer, byteLength } = value;
  // A view of a part may share its memory with others (Buffer's pool): that is copied.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) found.add(buffer);
};

/**
 * The memory of typed arrays among `values` and in their fields, to be moved instead of copied: senders do not
 * use them afterwards.
 */
export const transfersOf = (values: readonly unknown[]): ArrayBuffer[] => {
  const found = new Set<ArrayBuffer>();
  for (const value of values) {
    ownBuffers(value, found);
    if (typeof value !== 'object' || value === null || Array.isArray(value) || ArrayBuffer.isView(value))
      continue;
    for (const field of Object.values(value)) ownBuffers(field, found);
  }
  return [...found];
};
