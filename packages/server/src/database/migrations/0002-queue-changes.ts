// Changes get numbers, states and leases: a queue that survives its server. Deliveries: what forges told it.
import { type Kysely, type SqlBool, sql } from 'kysely';
import type { ColumnTypes, SchemaMigration } from './schema-migration.ts';

const extendChanges = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  for (const name of ['sequence', 'number', 'updated_at_ms'] as const) {
    await db.schema
      .alterTable('changes')
      .addColumn(name, types.integer, (column) => column.notNull().defaultTo(0))
      .execute();
  }
  for (const [name, value] of [
    ['branch', ''],
    ['state', 'judged'],
  ] as const) {
    await db.schema
      .alterTable('changes')
      .addColumn(name, 'text', (column) => column.notNull().defaultTo(value))
      .execute();
  }
  for (const name of ['fault', 'markdown', 'lease_owner'] as const) {
    await db.schema.alterTable('changes').addColumn(name, 'text').execute();
  }
  await db.schema.alterTable('changes').addColumn('lease_until_ms', types.integer).execute();
};

/** Numbers by age, as if each had come as a branch of its own. One without a conclusion cannot be judged any more. */
const fillChanges = async (db: Kysely<unknown>): Promise<void> => {
  const notNewer = sql`(older.created_at_ms, older.id) <= (changes.created_at_ms, changes.id)`;
  await sql`update changes set
    branch = id,
    updated_at_ms = created_at_ms,
    sequence = (select count(*) from changes older where ${notNewer}),
    number = (select count(*) from changes older where older.repository = changes.repository and ${notNewer})`.execute(
    db,
  );
  await sql`update changes set state = 'failed', conclusion = 'failure',
    fault = 'INTERRUPTED: the server that judged it was replaced by a newer one; push it again'
    where conclusion is null`.execute(db);
  await sql`insert into counters (name, next_number) select 'change', 1 + count(*) from changes`.execute(db);
  await sql`insert into counters (name, next_number) values ('delivery', 1)`.execute(db);
};

const indexChanges = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createIndex('changes_by_number')
    .on('changes')
    .columns(['repository', 'number', 'sequence'])
    .execute();
  await db.schema
    .createIndex('changes_by_branch')
    .on('changes')
    .columns(['repository', 'branch', 'sequence'])
    .execute();
  await db.schema.createIndex('changes_by_head').on('changes').columns(['head_commit', 'sequence']).execute();
  await db.schema
    .createIndex('changes_to_judge')
    .on('changes')
    .column('sequence')
    .where(sql<SqlBool>`state in ('queued', 'judging')`)
    .execute();
};

const createDeliveries = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  await db.schema
    .createTable('deliveries')
    .addColumn('key', 'text', (column) => column.primaryKey())
    .addColumn('sequence', types.integer, (column) => column.notNull())
    .addColumn('payload', 'text', (column) => column.notNull())
    .addColumn('received_at_ms', types.integer, (column) => column.notNull())
    .addColumn('done_at_ms', types.integer)
    .execute();
  await db.schema
    .createIndex('deliveries_unfinished')
    .on('deliveries')
    .column('sequence')
    .where(sql<SqlBool>`done_at_ms is null`)
    .execute();
};

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  await sql`insert into changes (id, repository, base_commit, head_commit, title, created_at_ms, sequence, number,
    branch, state, updated_at_ms, lease_owner, lease_until_ms)
    values ('c2', 'r', 'b', 'h2', 'another', 2000, 2, 2, 'topic', 'judging', 2500, 'server', 9000)`.execute(
    db,
  );
  await sql`update counters set next_number = 3 where name = 'change'`.execute(db);
  await sql`insert into deliveries values ('k1', 1, '{}', 1000, 1500), ('k2', 2, '{"a":1}', 2000, null)`.execute(
    db,
  );
  await sql`update counters set next_number = 3 where name = 'delivery'`.execute(db);
};

export const queueChanges: SchemaMigration = {
  name: '0002-queue-changes',
  async up(db, types) {
    await extendChanges(db, types);
    await fillChanges(db);
    await indexChanges(db);
    await createDeliveries(db, types);
  },
  sampleRows,
};
