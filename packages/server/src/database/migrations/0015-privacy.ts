// Which repositories are private, and which derivations nobody but private ones has wanted so far.
import { type Kysely, sql } from 'kysely';
import type { SchemaMigration } from './schema-migration.ts';

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  await sql`insert into private_repositories (host, name_key, repository_id, name)
    values ('github.com', 'owner/secret', 9007199254740991, 'Owner/Secret')`.execute(db);
  await sql`insert into private_derivations (drv, host, repository_id)
    values ('00000000000000000000000000000000', 'github.com', 9007199254740991)`.execute(db);
};

export const keepPrivacy: SchemaMigration = {
  name: '0015-privacy',
  async up(db, types) {
    await db.schema
      .createTable('private_repositories')
      .addColumn('host', 'text', (column) => column.notNull())
      .addColumn('name_key', 'text', (column) => column.notNull())
      .addColumn('repository_id', types.integer, (column) => column.notNull())
      .addColumn('name', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('private_repositories_key', ['host', 'name_key'])
      .execute();
    const derivations = db.schema
      .createTable('private_derivations')
      .addColumn('drv', 'text', (column) => column.notNull())
      .addColumn('host', 'text', (column) => column.notNull())
      .addColumn('repository_id', types.integer, (column) => column.notNull())
      .addPrimaryKeyConstraint('private_derivations_key', ['drv', 'host', 'repository_id']);
    await (types.withoutRowid ? derivations.modifyEnd(sql`without rowid`) : derivations).execute();
  },
  sampleRows,
};
