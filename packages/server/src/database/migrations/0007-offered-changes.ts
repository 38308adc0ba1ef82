// Changes that hosted forges offer; and the outbox: what gates shall say there, and how much of that was sent.
import { type Kysely, type SqlBool, sql } from 'kysely';
import type { ColumnTypes, SchemaMigration } from './schema-migration.ts';

const extendChanges = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema.alterTable('changes').addColumn('base_branch', 'text').execute();
};

// With rowids, everywhere: a gate may hold much text, and in the index of its key that would lie between all keys.
const createGates = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  await db.schema
    .createTable('gates')
    .addColumn('host', 'text', (column) => column.notNull())
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('head_sha', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('priority', types.integer, (column) => column.notNull())
    .addColumn('concluded', types.integer, (column) => column.notNull())
    .addColumn('version', types.integer, (column) => column.notNull())
    .addColumn('sent_version', types.integer, (column) => column.notNull())
    .addColumn('sequence', types.integer, (column) => column.notNull())
    .addColumn('waiting_since_ms', types.integer, (column) => column.notNull())
    .addColumn('next_at_ms', types.integer)
    .addColumn('attempts', types.integer, (column) => column.notNull())
    .addColumn('forge_id', types.integer)
    .addColumn('updated_at_ms', types.integer, (column) => column.notNull())
    .addColumn('claim_owner', 'text')
    .addColumn('claimed_version', types.integer)
    .addColumn('claim_until_ms', types.integer)
    .addColumn('fault', 'text')
    .addColumn('place_json', 'text', (column) => column.notNull())
    .addColumn('wanted_json', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('gates_key', ['host', 'repository', 'head_sha', 'name'])
    .execute();
};

// Nearly all gates are concluded and sent: each question is asked of the few rows that are not. While a forge is away
// those that wait become many, so what tells whether one is due stands in the index, conditions of the index included.
const indexGates = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createIndex('gates_waiting')
    .on('gates')
    .columns([
      'host',
      'priority',
      'sequence',
      'next_at_ms',
      'updated_at_ms',
      'claim_until_ms',
      'waiting_since_ms',
      'sent_version',
      'version',
    ])
    .where(sql<SqlBool>`sent_version < version and next_at_ms is not null`)
    .execute();
  await db.schema
    .createIndex('gates_given_up')
    .on('gates')
    .columns(['host', 'next_at_ms', 'sent_version', 'version'])
    .where(sql<SqlBool>`sent_version < version and next_at_ms is null`)
    .execute();
  await db.schema
    .createIndex('gates_unfinished')
    .on('gates')
    .columns(['host', 'repository', 'head_sha', 'name'])
    .where(sql<SqlBool>`concluded = 0`)
    .execute();
  await db.schema
    .createIndex('gates_claimed')
    .on('gates')
    .column('claim_owner')
    .where(sql<SqlBool>`claim_owner is not null`)
    .execute();
  await db.schema.createIndex('gates_by_age').on('gates').column('updated_at_ms').execute();
};

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  await sql`insert into changes (id, repository, base_commit, head_commit, title, created_at_ms, sequence, number,
    branch, state, updated_at_ms, kind, conclusion, request_json, base_branch)
    values ('c5', 'github.com/owner/set', 'b', 'h5', 'an offer', 5000, 5, 1234, 'pull/1234', 'judged', 5000, 'offered',
    'success', '{}', 'staging')`.execute(db);
  await sql`update counters set next_number = 6 where name = 'change'`.execute(db);
  await sql`insert into gates (host, repository, head_sha, name, priority, concluded, version, sent_version, sequence,
    waiting_since_ms, next_at_ms, attempts, forge_id, updated_at_ms, fault, place_json, wanted_json)
    values ('github.com', 'owner/set', 'h5', 'EkaCI: pkgs', 2, 1, 3, 2, 1, 5000, 6000, 1, 9007199254740991, 5500,
    'GITHUB_UNREACHABLE: wait', '{"repository":"owner/set"}', '{"title":"one built"}')`.execute(db);
  await sql`update counters set next_number = 2 where name = 'gate'`.execute(db);
};

export const offerChanges: SchemaMigration = {
  name: '0007-offered-changes',
  async up(db, types) {
    await extendChanges(db);
    await createGates(db, types);
    await indexGates(db);
    await sql`insert into counters (name, next_number) values ('gate', 1)`.execute(db);
  },
  sampleRows,
};
