// Pushes say on behalf of which change they are: its repository may have another name by the time they are tried.
import { type Kysely, sql } from 'kysely';
import type { SchemaMigration } from './schema-migration.ts';

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  await sql`update pushes set change_id = 'c5' where id = 1`.execute(db);
};

/** Of those that wait already nobody knows: the name under which they were wanted counts. */
export const tellChangesOfPushes: SchemaMigration = {
  name: '0017-pushes-of-changes',
  async up(db) {
    await db.schema.alterTable('pushes').addColumn('change_id', 'text').execute();
  },
  sampleRows,
};
