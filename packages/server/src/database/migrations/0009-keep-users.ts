// Who signed in, the tokens they made, and what was ended before its time.
import { type Kysely, type SqlBool, sql } from 'kysely';
import type { ColumnTypes, SchemaMigration } from './schema-migration.ts';

const createUsers = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  await db.schema
    .createTable('users')
    .addColumn('host', 'text', (column) => column.notNull())
    .addColumn('user_id', types.integer, (column) => column.notNull())
    .addColumn('login', 'text', (column) => column.notNull())
    .addColumn('login_key', 'text', (column) => column.notNull())
    .addColumn('promoted', types.integer, (column) => column.notNull())
    .addColumn('listed_as', 'text')
    .addColumn('created_at_ms', types.integer, (column) => column.notNull())
    .addColumn('signed_in_at_ms', types.integer, (column) => column.notNull())
    .addPrimaryKeyConstraint('users_key', ['host', 'user_id'])
    .execute();
  await db.schema
    .createIndex('users_by_login')
    .on('users')
    .columns(['host', 'login_key', 'signed_in_at_ms'])
    .execute();
  await db.schema
    .createIndex('users_listed')
    .unique()
    .on('users')
    .columns(['host', 'listed_as'])
    .where(sql<SqlBool>`listed_as is not null`)
    .execute();
};

const createTokens = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  await db.schema
    .createTable('api_tokens')
    .addColumn('id', 'text', (column) => column.notNull().primaryKey())
    .addColumn('host', 'text', (column) => column.notNull())
    .addColumn('user_id', types.integer, (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull().unique())
    .addColumn('created_at_ms', types.integer, (column) => column.notNull())
    .addColumn('expires_at_ms', types.integer)
    .addColumn('used_at_ms', types.integer)
    .addForeignKeyConstraint('api_tokens_user', ['host', 'user_id'], 'users', ['host', 'user_id'])
    .execute();
  await db.schema
    .createIndex('api_tokens_by_user')
    .on('api_tokens')
    .columns(['host', 'user_id', 'created_at_ms'])
    .execute();
  await db.schema
    .createIndex('api_tokens_by_end')
    .on('api_tokens')
    .column('expires_at_ms')
    .where(sql<SqlBool>`expires_at_ms is not null`)
    .execute();
};

const createRevoked = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  await db.schema
    .createTable('revoked_sessions')
    .addColumn('id', 'text', (column) => column.notNull().primaryKey())
    .addColumn('expires_at_ms', types.integer, (column) => column.notNull())
    .execute();
  await db.schema
    .createIndex('revoked_sessions_by_end')
    .on('revoked_sessions')
    .column('expires_at_ms')
    .execute();
};

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  await sql`insert into users (host, user_id, login, login_key, promoted, listed_as, created_at_ms, signed_in_at_ms)
    values ('github.com', 583231, 'Octocat', 'octocat', 1, 'octocat', 1000, 2000)`.execute(db);
  await sql`insert into api_tokens (id, host, user_id, name, hash, created_at_ms, expires_at_ms, used_at_ms)
    values ('t1', 'github.com', 583231, 'laptop', ${'a'.repeat(64)}, 1000, null, 3000)`.execute(db);
  await sql`insert into revoked_sessions (id, expires_at_ms) values ('s1', 9000)`.execute(db);
};

export const keepUsers: SchemaMigration = {
  name: '0009-keep-users',
  async up(db, types) {
    await createUsers(db, types);
    await createTokens(db, types);
    await createRevoked(db, types);
  },
  sampleRows,
};
