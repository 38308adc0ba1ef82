// What builds of a package are like, over its versions: how long they take, and how often they failed for nothing.
import { type Kysely, sql } from 'kysely';
import type { SchemaMigration } from './schema-migration.ts';

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  await sql`insert into package_builds (pname, system, fixed_output, recent_ms, flaky_builds, flaky_at_ms,
    updated_at_ms) values ('hello', 'x86_64-linux', 0, '[1200,900]', 2, 4000, 5000)`.execute(db);
};

export const learnFromBuilds: SchemaMigration = {
  name: '0005-learn-from-builds',
  async up(db, types) {
    const packages = db.schema
      .createTable('package_builds')
      .addColumn('pname', 'text', (column) => column.notNull())
      .addColumn('system', 'text', (column) => column.notNull())
      .addColumn('fixed_output', types.integer, (column) => column.notNull())
      .addColumn('recent_ms', 'text', (column) => column.notNull())
      .addColumn('flaky_builds', types.integer, (column) => column.notNull())
      .addColumn('flaky_at_ms', types.integer)
      .addColumn('updated_at_ms', types.integer, (column) => column.notNull())
      .addPrimaryKeyConstraint('package_builds_key', ['pname', 'system', 'fixed_output']);
    await (types.withoutRowid ? packages.modifyEnd(sql`without rowid`) : packages).execute();
  },
  sampleRows,
};
