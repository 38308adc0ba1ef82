// What judgements hand on to caches and to hooks, and what is to be pushed to which cache.
import { type Kysely, type SqlBool, sql } from 'kysely';
import type { ColumnTypes, SchemaMigration } from './schema-migration.ts';

// Few at any time: each goes as soon as it was read.
const createPublications = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  await db.schema
    .createTable('publications')
    .addColumn('id', types.integer, (column) => column.primaryKey())
    .addColumn('change_id', 'text', (column) => column.notNull())
    .addColumn('publication_json', 'text', (column) => column.notNull())
    .addColumn('for_pushes', types.integer, (column) => column.notNull())
    .addColumn('for_hooks', types.integer, (column) => column.notNull())
    .addColumn('at_ms', types.integer, (column) => column.notNull())
    .execute();
};

const createPushes = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  await db.schema
    .createTable('pushes')
    .addColumn('id', types.integer, (column) => column.primaryKey())
    .addColumn('cache', 'text', (column) => column.notNull())
    .addColumn('output', 'text', (column) => column.notNull())
    .addColumn('outputs_json', 'text', (column) => column.notNull())
    .addColumn('drv', 'text', (column) => column.notNull())
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('branch', 'text', (column) => column.notNull())
    .addColumn('publication_id', types.integer, (column) => column.notNull())
    .addColumn('priority', types.integer, (column) => column.notNull())
    .addColumn('sequence', types.integer, (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('attempts', types.integer, (column) => column.notNull())
    .addColumn('next_at_ms', types.integer, (column) => column.notNull())
    .addColumn('fault', 'text')
    .addColumn('lease_owner', 'text')
    .addColumn('lease_until_ms', types.integer)
    .addColumn('waiting_since_ms', types.integer, (column) => column.notNull())
    .addColumn('updated_at_ms', types.integer, (column) => column.notNull())
    .execute();
};

const indexPushes = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createIndex('pushes_by_output')
    .unique()
    .on('pushes')
    .columns(['cache', 'output'])
    .execute();
  // Nearly all are done.
  await db.schema
    .createIndex('pushes_waiting')
    .on('pushes')
    .columns(['cache', 'priority', 'sequence'])
    .where(sql<SqlBool>`state = 'waiting'`)
    .execute();
  await db.schema
    .createIndex('pushes_by_age')
    .on('pushes')
    .column('updated_at_ms')
    .where(sql<SqlBool>`state <> 'waiting'`)
    .execute();
};

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  await sql`insert into publications (id, change_id, publication_json, for_pushes, for_hooks, at_ms)
    values (1, 'c5', '{}', 1, 0, 8000)`.execute(db);
  await sql`insert into pushes (id, cache, output, outputs_json, drv, repository, branch, publication_id, priority, sequence,
    state, attempts, next_at_ms, fault, lease_owner, lease_until_ms, waiting_since_ms, updated_at_ms)
    values (1, 'main', '/nix/store/00000000000000000000000000000003-hello-2.12',
    '["/nix/store/00000000000000000000000000000003-hello-2.12"]',
    '/nix/store/00000000000000000000000000000002-hello-2.12.drv', 'owner/set', 'main', 1, 0, 1, 'waiting', 2, 9000,
    'it does not answer', 'x', 8999, 8100, 8200)`.execute(db);
  await sql`update counters set next_number = 2 where name in ('publication', 'push')`.execute(db);
};

export const keepPushes: SchemaMigration = {
  name: '0012-publish',
  async up(db, types) {
    await createPublications(db, types);
    await createPushes(db, types);
    await indexPushes(db);
    await sql`insert into counters (name, next_number) values ('publication', 1), ('push', 1)`.execute(db);
  },
  sampleRows,
};
