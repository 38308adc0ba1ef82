// Authors whose changes need no approval, and runs of forges' own CI that wait for somebody's approval there.
import { type Kysely, sql } from 'kysely';
import type { SchemaMigration } from './schema-migration.ts';

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  await sql`insert into approved_authors (host, user_id, login, approved_by, at_ms)
    values ('github.com', 9007199254740991, 'bob', 'alice', 6000)`.execute(db);
  await sql`insert into held_runs (host, run_id, at_ms) values ('github.com', 9007199254740990, 6100)`.execute(
    db,
  );
};

export const keepApprovals: SchemaMigration = {
  name: '0008-approvals',
  async up(db, types) {
    await db.schema
      .createTable('approved_authors')
      .addColumn('host', 'text', (column) => column.notNull())
      .addColumn('user_id', types.integer, (column) => column.notNull())
      .addColumn('login', 'text', (column) => column.notNull())
      .addColumn('approved_by', 'text', (column) => column.notNull())
      .addColumn('at_ms', types.integer, (column) => column.notNull())
      .addPrimaryKeyConstraint('approved_authors_key', ['host', 'user_id'])
      .execute();
    await db.schema
      .createTable('held_runs')
      .addColumn('host', 'text', (column) => column.notNull())
      .addColumn('run_id', types.integer, (column) => column.notNull())
      .addColumn('at_ms', types.integer, (column) => column.notNull())
      .addPrimaryKeyConstraint('held_runs_key', ['host', 'run_id'])
      .execute();
  },
  sampleRows,
};
