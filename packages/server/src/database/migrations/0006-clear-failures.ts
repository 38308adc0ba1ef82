// Failures that are not to be believed any more; which changes showed which; and what no builder offered for them.
import { type Kysely, type SqlBool, sql } from 'kysely';
import type { SchemaMigration } from './schema-migration.ts';

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  await sql`update builds set cleared_sequence = sequence where state = 'failed'`.execute(db);
  const asked = '[{"system":"riscv64-linux","requiredFeatures":["kvm"],"fixedOutput":false}]';
  await sql`update changes set unsatisfiable = ${asked} where id = 'c1'`.execute(db);
  await sql`insert into change_failures (change_id, drv_id) select 'c1', drv_id from builds
    where state = 'failed'`.execute(db);
};

export const clearFailures: SchemaMigration = {
  name: '0006-clear-failures',
  async up(db, types) {
    await db.schema.alterTable('builds').addColumn('cleared_sequence', types.integer).execute();
    // Few builds fail, and fewer by another: the indexes cost nothing where all goes well.
    await db.schema
      .createIndex('builds_failed')
      .on('builds')
      .column('drv_id')
      .where(sql<SqlBool>`state = 'failed'`)
      .execute();
    await db.schema
      .createIndex('builds_by_culprit')
      .on('builds')
      .column('culprit_id')
      .where(sql<SqlBool>`culprit_id is not null`)
      .execute();
    await db.schema.alterTable('changes').addColumn('unsatisfiable', 'text').execute();
    for (const name of ['offer_changed', 'failures_cleared'] as const) {
      await db.schema
        .alterTable('changes')
        .addColumn(name, types.integer, (column) => column.notNull().defaultTo(0))
        .execute();
    }
    // With all that is asked of it, so that no summary of some MiB is read in passing.
    await db.schema
      .createIndex('changes_unsatisfiable')
      .on('changes')
      .columns(['state', 'kind', 'id', 'unsatisfiable'])
      .where(sql<SqlBool>`unsatisfiable is not null`)
      .execute();
    const failures = db.schema
      .createTable('change_failures')
      .addColumn('change_id', 'text', (column) => column.notNull())
      .addColumn('drv_id', types.integer, (column) => column.notNull().references('derivations.id'))
      .addPrimaryKeyConstraint('change_failures_key', ['change_id', 'drv_id']);
    await (types.withoutRowid ? failures.modifyEnd(sql`without rowid`) : failures).execute();
    await db.schema
      .createIndex('change_failures_by_drv')
      .on('change_failures')
      .columns(['drv_id', 'change_id'])
      .execute();
  },
  sampleRows,
};
