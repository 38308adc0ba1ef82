// Merges that people asked for, what reviewers said, who maintains what, and which packages a change touches.
import { type Kysely, type SqlBool, sql } from 'kysely';
import type { ColumnTypes, SchemaMigration } from './schema-migration.ts';

const createMergeRequests = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  await db.schema
    .createTable('merge_requests')
    .addColumn('id', types.integer, (column) => column.primaryKey())
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('number', types.integer, (column) => column.notNull())
    .addColumn('head_sha', 'text', (column) => column.notNull())
    .addColumn('base_branch', 'text', (column) => column.notNull())
    .addColumn('method', 'text')
    .addColumn('by_id', types.integer, (column) => column.notNull())
    .addColumn('by_login', 'text', (column) => column.notNull())
    .addColumn('comment_id', types.integer)
    .addColumn('needs_reviews', types.integer, (column) => column.notNull())
    .addColumn('asked_at_ms', types.integer, (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('attempts', types.integer, (column) => column.notNull())
    .addColumn('next_at_ms', types.integer, (column) => column.notNull())
    .addColumn('fault', 'text')
    .addColumn('ended', types.integer, (column) => column.notNull())
    .addColumn('reaction', 'text')
    .addColumn('reply', 'text')
    .addColumn('told', types.integer, (column) => column.notNull())
    .addColumn('updated_at_ms', types.integer, (column) => column.notNull())
    .execute();
  await db.schema
    .createIndex('merge_requests_by_comment')
    .unique()
    .on('merge_requests')
    .columns(['repository', 'comment_id'])
    .where(sql<SqlBool>`comment_id is not null`)
    .execute();
  await db.schema
    .createIndex('merge_requests_by_change')
    .on('merge_requests')
    .columns(['repository', 'number', 'id'])
    .execute();
  // Nearly all are finished.
  await db.schema
    .createIndex('merge_requests_unfinished')
    .on('merge_requests')
    .column('id')
    .where(sql<SqlBool>`told = 0`)
    .execute();
  await db.schema
    .createIndex('merge_requests_by_age')
    .on('merge_requests')
    .column('updated_at_ms')
    .where(sql<SqlBool>`told = 1`)
    .execute();
  await sql`insert into counters (name, next_number) values ('merge', 1), ('maintainer-request', 1)`.execute(
    db,
  );
};

const createReviews = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  await db.schema
    .createTable('reviews')
    .addColumn('repository', 'text', (column) => column.notNull())
    .addColumn('number', types.integer, (column) => column.notNull())
    .addColumn('reviewer_id', types.integer, (column) => column.notNull())
    .addColumn('reviewer_login', 'text', (column) => column.notNull())
    .addColumn('review_id', types.integer, (column) => column.notNull())
    .addColumn('verdict', 'text', (column) => column.notNull())
    .addColumn('reviewed_sha', 'text')
    .addColumn('at_ms', types.integer, (column) => column.notNull())
    .addPrimaryKeyConstraint('reviews_key', ['repository', 'number', 'reviewer_id'])
    .execute();
  await db.schema.createIndex('reviews_by_age').on('reviews').column('at_ms').execute();
};

const createMaintainers = async (db: Kysely<unknown>, types: ColumnTypes): Promise<void> => {
  await db.schema
    .createTable('attr_maintainers')
    .addColumn('host', 'text', (column) => column.notNull())
    .addColumn('attr', 'text', (column) => column.notNull())
    .addColumn('user_id', types.integer, (column) => column.notNull())
    .addColumn('login', 'text', (column) => column.notNull())
    .addColumn('granted_by', 'text', (column) => column.notNull())
    .addColumn('at_ms', types.integer, (column) => column.notNull())
    .addPrimaryKeyConstraint('attr_maintainers_key', ['attr', 'host', 'user_id'])
    .execute();
  await db.schema
    .createIndex('attr_maintainers_by_user')
    .on('attr_maintainers')
    .columns(['host', 'user_id', 'attr'])
    .execute();
  await db.schema
    .createTable('maintainer_requests')
    .addColumn('id', types.integer, (column) => column.primaryKey())
    .addColumn('host', 'text', (column) => column.notNull())
    .addColumn('attr', 'text', (column) => column.notNull())
    .addColumn('user_id', types.integer, (column) => column.notNull())
    .addColumn('login', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('asked_at_ms', types.integer, (column) => column.notNull())
    .addColumn('decided_by', 'text')
    .addColumn('decided_at_ms', types.integer)
    .execute();
  await db.schema
    .createIndex('maintainer_requests_by_user')
    .on('maintainer_requests')
    .columns(['host', 'user_id', 'id'])
    .execute();
  await db.schema
    .createIndex('maintainer_requests_by_state')
    .on('maintainer_requests')
    .columns(['state', 'id'])
    .execute();
};

// Of their own: they are read when somebody wants something, and whoever reads changes need not read them too.
const createPackages = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema
    .createTable('change_packages')
    .addColumn('change_id', 'text', (column) => column.primaryKey())
    .addColumn('packages_json', 'text', (column) => column.notNull())
    .execute();
};

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  await sql`insert into merge_requests (id, repository, number, head_sha, base_branch, method, by_id, by_login, comment_id,
    needs_reviews, asked_at_ms, state, attempts, next_at_ms, fault, ended, reaction, reply, told, updated_at_ms)
    values (1, 'github.com/owner/set', 1234, 'h5', 'staging', 'squash', 7, 'ann', 9007199254740991, 0, 7000, 'merging', 1, 8000,
    'GITHUB_UNREACHABLE: wait', 0, null, null, 0, 7500)`.execute(db);
  await sql`update counters set next_number = 2 where name in ('merge', 'maintainer-request')`.execute(db);
  await sql`insert into reviews (repository, number, reviewer_id, reviewer_login, review_id, verdict, reviewed_sha,
    at_ms)
    values ('github.com/owner/set', 1234, 8, 'bob', 71, 'approved', 'h5', 7100)`.execute(db);
  await sql`insert into attr_maintainers (host, attr, user_id, login, granted_by, at_ms)
    values ('github.com', 'hello', 8, 'bob', 'operator', 7200)`.execute(db);
  await sql`insert into maintainer_requests (id, host, attr, user_id, login, state, asked_at_ms)
    values (1, 'github.com', 'curl', 8, 'bob', 'pending', 7300)`.execute(db);
  await sql`insert into change_packages (change_id, packages_json) values ('c5', '{}')`.execute(db);
};

export const keepMerges: SchemaMigration = {
  name: '0010-merges',
  async up(db, types) {
    await createMergeRequests(db, types);
    await createReviews(db, types);
    await createMaintainers(db, types);
    await createPackages(db);
  },
  sampleRows,
};
