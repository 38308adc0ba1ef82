// Lists of changes ask for kinds, and mostly for states: without them in the index a list of a few reads every change of
// the repository, each with its summary in the way.
import type { SchemaMigration } from './schema-migration.ts';

export const listChangesByKind: SchemaMigration = {
  name: '0004-list-changes-by-kind',
  async up(db) {
    await db.schema
      .createIndex('changes_by_kind')
      .on('changes')
      .columns(['repository', 'kind', 'created_at_ms', 'id', 'state'])
      .execute();
  },
  // No table changed.
  async sampleRows() {},
};
