// What the checks of changes asked, and what came of each.
import { type Kysely, type SqlBool, sql } from 'kysely';
import type { SchemaMigration } from './schema-migration.ts';

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  await sql`insert into check_runs (id, sequence, change_id, name, question, state, is_answer, kept, status, reason,
    duration_ms, tail_json, log_file, queued_at_ms, ended_at_ms)
    values ('k1', 1, 'c1', 'format', 'q1', 'failed', 1, 0, 3, 'it ended with status 3', 1200, '["bad"]',
      'k1/k1.log', 8000, 9000)`.execute(db);
  await sql`update counters set next_number = 2 where name = 'check-run'`.execute(db);
};

export const keepCheckRuns: SchemaMigration = {
  name: '0014-check-runs',
  async up(db, types) {
    await db.schema
      .createTable('check_runs')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('sequence', types.integer, (column) => column.notNull())
      .addColumn('change_id', 'text', (column) => column.notNull())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('question', 'text', (column) => column.notNull())
      .addColumn('state', 'text', (column) => column.notNull())
      .addColumn('is_answer', types.integer, (column) => column.notNull())
      .addColumn('kept', types.integer, (column) => column.notNull())
      .addColumn('status', types.integer)
      .addColumn('reason', 'text')
      .addColumn('duration_ms', types.integer)
      .addColumn('tail_json', 'text', (column) => column.notNull())
      .addColumn('log_file', 'text')
      .addColumn('queued_at_ms', types.integer, (column) => column.notNull())
      .addColumn('ended_at_ms', types.integer)
      .execute();
    await db.schema
      .createIndex('check_runs_by_change')
      .on('check_runs')
      .columns(['change_id', 'sequence'])
      .execute();
    await db.schema
      .createIndex('check_runs_by_question')
      .on('check_runs')
      .columns(['question', 'sequence'])
      .where(sql<SqlBool>`is_answer = 1`)
      .execute();
    await db.schema
      .createIndex('check_runs_open')
      .on('check_runs')
      .column('id')
      .where(sql<SqlBool>`ended_at_ms is null`)
      .execute();
    await db.schema.createIndex('check_runs_by_end').on('check_runs').column('ended_at_ms').execute();
    await sql`insert into counters (name, next_number) values ('check-run', 1)`.execute(db);
  },
  sampleRows,
};
