// What a migration is.
import type { Kysely } from 'kysely';

/** Column types that the databases name differently. */
export interface ColumnTypes {
  /** Whole numbers up to 2^53. */
  readonly integer: 'integer' | 'bigint';
  readonly bytes: 'blob' | 'bytea';
  /** SQLite keeps such a table as the index of its primary key alone. */
  readonly withoutRowid: boolean;
}

export interface SchemaMigration {
  /** Four digits, a dash, what it does: the order of names is the order of migrations. */
  readonly name: string;
  up(db: Kysely<unknown>, types: ColumnTypes): Promise<void>;
  /** Rows as a server of that version had them: the upgrade test fills each version's tables before the next. */
  sampleRows(db: Kysely<unknown>): Promise<void>;
}
