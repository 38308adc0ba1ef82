// The first tables: derivations, builds, jobsets, changes.
import { createHash } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { type Kysely, type SqlBool, sql } from 'kysely';
import type { ColumnTypes, SchemaMigration } from './schema-migration.ts';

const createDerivations = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  await db.schema
    .createTable('derivations')
    .addColumn('id', types.integer, (column) => column.primaryKey())
    .addColumn('path', 'text', (column) => column.notNull().unique())
    .addColumn('stage', types.integer, (column) => column.notNull())
    .addColumn('system', 'text')
    .addColumn('flags', types.integer)
    .addColumn('features', 'text')
    .addColumn('outputs', 'text')
    .addColumn('inputs', types.bytes)
    .execute();
  const dependents = db.schema
    .createTable('derivation_dependents')
    .addColumn('input_id', types.integer, (column) => column.notNull())
    .addColumn('first_dependent_id', types.integer, (column) => column.notNull())
    .addColumn('dependents', types.bytes, (column) => column.notNull())
    .addPrimaryKeyConstraint('derivation_dependents_key', ['input_id', 'first_dependent_id']);
  await (types.withoutRowid ? dependents.modifyEnd(sql`without rowid`) : dependents).execute();
};

const createBuilds = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  await db.schema
    .createTable('builds')
    .addColumn('drv_id', types.integer, (column) => column.primaryKey().references('derivations.id'))
    .addColumn('attempt', types.integer, (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('cause', 'text')
    .addColumn('started_at_ms', types.integer)
    .addColumn('finished_at_ms', types.integer)
    .addColumn('culprit_id', types.integer, (column) => column.references('derivations.id'))
    .addColumn('message', 'text')
    .addColumn('log_file', 'text')
    .addColumn('sequence', types.integer, (column) => column.notNull())
    .execute();
  // Finished builds, nearly all of them, stay out of it: a restart reads only what is left to do.
  await db.schema
    .createIndex('builds_unfinished')
    .on('builds')
    .columns(['state', 'drv_id'])
    .where(sql<SqlBool>`state in ('queued', 'buildable', 'building', 'unsatisfiable', 'interrupted')`)
    .execute();
  await db.schema
    .createTable('build_transitions')
    .addColumn('sequence', types.integer, (column) => column.primaryKey())
    .addColumn('drv_id', types.integer, (column) => column.notNull().references('derivations.id'))
    .addColumn('attempt', types.integer, (column) => column.notNull())
    .addColumn('from_state', 'text')
    .addColumn('to_state', 'text', (column) => column.notNull())
    .addColumn('cause', 'text')
    .addColumn('at_ms', types.integer, (column) => column.notNull())
    .addColumn('culprit_id', types.integer, (column) => column.references('derivations.id'))
    .addColumn('message', 'text')
    .addColumn('log_file', 'text')
    .execute();
  await db.schema
    .createIndex('build_transitions_of_drv')
    .on('build_transitions')
    .columns(['drv_id', 'sequence'])
    .execute();
};

const createJobsets = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  await db.schema
    .createTable('jobsets')
    .addColumn('id', types.integer, (column) => column.primaryKey())
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('key_json', 'text', (column) => column.notNull())
    .addColumn('derivations', types.integer, (column) => column.notNull())
    .addColumn('unavailable', types.integer, (column) => column.notNull())
    .addColumn('failed', types.integer, (column) => column.notNull())
    .addColumn('chunks', types.integer, (column) => column.notNull())
    .addColumn('completed_at_ms', types.integer)
    .execute();
  await db.schema
    .createIndex('jobsets_complete')
    .unique()
    .on('jobsets')
    .column('digest')
    .where(sql<SqlBool>`completed_at_ms is not null`)
    .execute();
  await db.schema
    .createIndex('jobsets_draft')
    .on('jobsets')
    .column('id')
    .where(sql<SqlBool>`completed_at_ms is null`)
    .execute();
  await db.schema
    .createTable('jobset_chunks')
    .addColumn('jobset_id', types.integer, (column) => column.notNull().references('jobsets.id'))
    .addColumn('position', types.integer, (column) => column.notNull())
    .addColumn('records', types.bytes, (column) => column.notNull())
    .addPrimaryKeyConstraint('jobset_chunks_key', ['jobset_id', 'position'])
    .execute();
};

const createChanges = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  await db.schema
    .createTable('changes')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('base_commit', 'text', (column) => column.notNull())
    .addColumn('head_commit', 'text', (column) => column.notNull())
    .addColumn('judged_tree', 'text')
    .addColumn('title', 'text', (column) => column.notNull())
    .addColumn('created_at_ms', types.integer, (column) => column.notNull())
    .addColumn('conclusion', 'text')
    .addColumn('summary_json', 'text')
    .execute();
  await db.schema.createIndex('changes_by_age').on('changes').columns(['created_at_ms', 'id']).execute();
  await db.schema
    .createIndex('changes_by_repository')
    .on('changes')
    .columns(['repository', 'created_at_ms', 'id'])
    .execute();
};

const createCounters = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  await db.schema
    .createTable('counters')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('next_number', types.integer, (column) => column.notNull())
    .execute();
  for (const name of ['derivation', 'transition', 'jobset']) {
    await sql`insert into counters (name, next_number) values (${name}, 1)`.execute(db);
  }
};

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  const dependency = '/nix/store/00000000000000000000000000000001-dep-1.0.drv';
  const hello = '/nix/store/00000000000000000000000000000002-hello-2.12.drv';
  const outputs = '["out","/nix/store/00000000000000000000000000000003-hello-2.12","man",""]';
  const insert = sql`insert into derivations (id, path, stage, system, flags, features, outputs, inputs) values`;
  await sql`${insert} (1, ${dependency}, 2, 'x86_64-linux', 5, '[]', '["out",""]', ${new Uint8Array()})`.execute(
    db,
  );
  // Input 1 with its output "dev": 1 * 2 + 1, three bytes.
  const inputs = Uint8Array.of(3, 3, 100, 101, 118);
  await sql`${insert} (2, ${hello}, 2, 'x86_64-linux', 6, '["kvm"]', ${outputs}, ${inputs})`.execute(db);
  await sql`insert into derivation_dependents values (1, 2, ${Uint8Array.of(2)})`.execute(db);
  await sql`insert into build_transitions values (1, 1, 1, null, 'queued', null, 1000, null, null, null)`.execute(
    db,
  );
  await sql`insert into build_transitions values (2, 1, 1, 'queued', 'failed', 'network', 2000, 1, 'gone', 'a/1.log')`.execute(
    db,
  );
  await sql`insert into builds values (1, 1, 'failed', 'network', null, 2000, 1, 'gone', 'a/1.log', 2)`.execute(
    db,
  );
  await sql`insert into changes values ('c1', 'r', 'b', 'h', null, 'a title', 1000, 'success', '{}')`.execute(
    db,
  );
  const key =
    '{"tree":"t","commit":null,"jobDefinition":"j","systems":["x86_64-linux"],"evaluator":"e","evaluatorVersion":"1","settings":"s"}';
  const digest = createHash('sha256').update(key).digest('hex');
  const records = deflateRawSync(
    '[{"kind":"failed","attr":"a","attrPath":["a"],"failure":{"kind":"throw","message":"no","position":null}}]',
  );
  await sql`insert into jobsets values (1, ${digest}, ${key}, 0, 0, 1, 1, 1000)`.execute(db);
  await sql`insert into jobset_chunks values (1, 0, ${records})`.execute(db);
  await sql`update counters set next_number = 3 where name in ('derivation', 'transition')`.execute(db);
  await sql`update counters set next_number = 2 where name = 'jobset'`.execute(db);
};

export const createTables: SchemaMigration = {
  name: '0001-create-tables',
  async up(db, types) {
    await createCounters(db, types);
    await createDerivations(db, types);
    await createBuilds(db, types);
    await createJobsets(db, types);
    await createChanges(db, types);
  },
  sampleRows,
};
