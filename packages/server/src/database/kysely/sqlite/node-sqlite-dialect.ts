// Kysely over Node's own SQLite.
import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import { SqliteAdapter, SqliteDialect, type SqliteStatement } from 'kysely';

class TransactionalDdlAdapter extends SqliteAdapter {
  // SQLite can; Kysely says no for the sake of migrations that must switch foreign keys off. With it a migration
  // that fails or is killed leaves the old schema whole.
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

const inputValues = (parameters: readonly unknown[]): SQLInputValue[] =>
  // Kysely's types let anything in; the tables' types have let in only what SQLite takes.
  parameters as SQLInputValue[];

/** On a full disk SQLite has rolled back by itself; rolling back once more would hide that error behind another. */
const isNeedlessRollback = (database: DatabaseSync, sql: string): boolean =>
  !database.isTransaction && sql.trim().toLowerCase() === 'rollback';

const adaptStatement = (database: DatabaseSync, sql: string): SqliteStatement => {
  const statement = database.prepare(sql);
  return {
    reader: statement.columns().length > 0,
    // Node's rows have no prototype, which equality checks and some libraries take amiss.
    all: (parameters) => statement.all(...inputValues(parameters)).map((row) => ({ ...row })),
    run: (parameters) =>
      isNeedlessRollback(database, sql)
        ? { changes: 0, lastInsertRowid: 0 }
        : statement.run(...inputValues(parameters)),
    iterate: (parameters) => statement.iterate(...inputValues(parameters)),
  };
};

export class NodeSqliteDialect extends SqliteDialect {
  /** Whoever opened the database closes it, not Kysely. */
  constructor(database: DatabaseSync) {
    super({ database: { prepare: (sql) => adaptStatement(database, sql), close: () => {} } });
  }

  override createAdapter(): SqliteAdapter {
    return new TransactionalDdlAdapter();
  }
}
