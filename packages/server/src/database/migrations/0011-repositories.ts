// Which name each repository of a hosted forge has, and which ones it had: it is known by its number.
import { type Kysely, sql } from 'kysely';
import type { SchemaMigration } from './schema-migration.ts';

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  await sql`insert into hosted_repositories (host, repository_id, name, name_key)
    values ('github.com', 9007199254740991, 'Owner/Set', 'owner/set')`.execute(db);
  await sql`insert into former_names (host, name_key, repository_id, name, at_ms)
    values ('github.com', 'owner/old-set', 9007199254740991, 'Owner/Old-Set', 7000)`.execute(db);
};

export const keepRepositories: SchemaMigration = {
  name: '0011-repositories',
  async up(db, types) {
    await db.schema
      .createTable('hosted_repositories')
      .addColumn('host', 'text', (column) => column.notNull())
      .addColumn('repository_id', types.integer, (column) => column.notNull())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('name_key', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('hosted_repositories_key', ['host', 'repository_id'])
      .execute();
    await db.schema
      .createIndex('hosted_repositories_by_name')
      .unique()
      .on('hosted_repositories')
      .columns(['host', 'name_key'])
      .execute();
    await db.schema
      .createTable('former_names')
      .addColumn('host', 'text', (column) => column.notNull())
      .addColumn('name_key', 'text', (column) => column.notNull())
      .addColumn('repository_id', types.integer, (column) => column.notNull())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('at_ms', types.integer, (column) => column.notNull())
      .addPrimaryKeyConstraint('former_names_key', ['host', 'name_key'])
      .execute();
  },
  sampleRows,
};
