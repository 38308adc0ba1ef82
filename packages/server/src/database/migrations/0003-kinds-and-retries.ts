// Changes get kinds: beside branches of a forge there are base branches and what was asked for by hand. And they can
// wait for another try.
import { type Kysely, type SqlBool, sql } from 'kysely';
import type { SchemaMigration } from './schema-migration.ts';

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  await sql`insert into changes (id, repository, base_commit, head_commit, title, created_at_ms, sequence, number,
    branch, state, updated_at_ms, kind, priority, fault, faults, retry_at_ms)
    values ('c3', 'r', '', 'h3', 'main', 3000, 3, 0, 'main', 'queued', 3000, 'baseline', 2, 'GIT_TIMEOUT: slow', 1,
    9500)`.execute(db);
  await sql`insert into changes (id, repository, base_commit, head_commit, title, created_at_ms, sequence, number,
    branch, state, updated_at_ms, kind, conclusion, request_json)
    values ('c4', '/srv/set', '', 'h4', 'HEAD', 4000, 4, 1, 'HEAD', 'judged', 4000, 'submitted', 'success', '{}')`.execute(
    db,
  );
  await sql`update counters set next_number = 5 where name = 'change'`.execute(db);
};

export const addKindsAndRetries: SchemaMigration = {
  name: '0003-kinds-and-retries',
  async up(db, types) {
    await db.schema
      .alterTable('changes')
      .addColumn('kind', 'text', (column) => column.notNull().defaultTo('branch'))
      .execute();
    await db.schema.alterTable('changes').addColumn('request_json', 'text').execute();
    for (const [name, value] of [
      ['priority', 1],
      ['faults', 0],
      ['approved', 0],
    ] as const) {
      await db.schema
        .alterTable('changes')
        .addColumn(name, types.integer, (column) => column.notNull().defaultTo(value))
        .execute();
    }
    await db.schema.alterTable('changes').addColumn('retry_at_ms', types.integer).execute();
    await db.schema.dropIndex('changes_to_judge').execute();
    await db.schema
      .createIndex('changes_to_judge')
      .on('changes')
      .columns(['priority', 'sequence'])
      .where(sql<SqlBool>`state in ('queued', 'judging')`)
      .execute();
  },
  sampleRows,
};
