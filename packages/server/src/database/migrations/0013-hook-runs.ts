// Which hook is to run after which build, and what became of it.
import { type Kysely, type SqlBool, sql } from 'kysely';
import type { SchemaMigration } from './schema-migration.ts';

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  await sql`insert into hook_runs (id, hook, drv, attempt, build_state, repository, branch, job, commit_sha, change_id, state,
    tries, next_at_ms, wanted_at_ms, started_at_ms, finished_at_ms, exit_status, message, log_file)
    values (1, 'notify', '/nix/store/00000000000000000000000000000002-hello-2.12.drv', 1, 'succeeded', 'o/r', 'main',
    'packages', 'h1', 'c1', 'running', 1, 0, 8000, 8100, null, null, null, '00/x.log')`.execute(db);
  await sql`update counters set next_number = 2 where name = 'hook-run'`.execute(db);
};

export const keepHookRuns: SchemaMigration = {
  name: '0013-hook-runs',
  async up(db, types) {
    await db.schema
      .createTable('hook_runs')
      .addColumn('id', types.integer, (column) => column.primaryKey())
      .addColumn('hook', 'text', (column) => column.notNull())
      .addColumn('drv', 'text', (column) => column.notNull())
      .addColumn('attempt', types.integer, (column) => column.notNull())
      .addColumn('build_state', 'text', (column) => column.notNull())
      .addColumn('repository', 'text', (column) => column.notNull())
      .addColumn('branch', 'text', (column) => column.notNull())
      .addColumn('job', 'text', (column) => column.notNull())
      .addColumn('commit_sha', 'text', (column) => column.notNull())
      .addColumn('change_id', 'text', (column) => column.notNull())
      .addColumn('state', 'text', (column) => column.notNull())
      .addColumn('tries', types.integer, (column) => column.notNull())
      .addColumn('next_at_ms', types.integer, (column) => column.notNull())
      .addColumn('wanted_at_ms', types.integer, (column) => column.notNull())
      .addColumn('started_at_ms', types.integer)
      .addColumn('finished_at_ms', types.integer)
      .addColumn('exit_status', types.integer)
      .addColumn('message', 'text')
      .addColumn('log_file', 'text')
      .execute();
    await db.schema
      .createIndex('hook_runs_by_build')
      .unique()
      .on('hook_runs')
      .columns(['drv', 'hook', 'attempt'])
      .execute();
    // Nearly all have ended.
    await db.schema
      .createIndex('hook_runs_waiting')
      .on('hook_runs')
      .columns(['next_at_ms', 'id'])
      .where(sql<SqlBool>`state = 'waiting'`)
      .execute();
    await db.schema
      .createIndex('hook_runs_running')
      .on('hook_runs')
      .column('id')
      .where(sql<SqlBool>`state = 'running'`)
      .execute();
    await db.schema.createIndex('hook_runs_by_age').on('hook_runs').column('finished_at_ms').execute();
    // What was built for a change, also by a server that died over it.
    await db.schema
      .createIndex('builds_by_end')
      .on('builds')
      .columns(['finished_at_ms', 'sequence'])
      .where(sql<SqlBool>`state in ('succeeded', 'failed')`)
      .execute();
    await sql`insert into counters (name, next_number) values ('hook-run', 1)`.execute(db);
  },
  sampleRows,
};
