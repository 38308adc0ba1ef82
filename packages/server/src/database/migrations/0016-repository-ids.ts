// Changes say by the forge's number which repository they are of: names are given up, and taken by others.
import { type Kysely, sql } from 'kysely';
import type { SchemaMigration } from './schema-migration.ts';

const sampleRows = async (db: Kysely<unknown>): Promise<void> => {
  await sql`insert into hosted_repositories (host, repository_id, name, name_key)
    values ('github.com', 16, '#16/set-aside', '#16/set-aside')`.execute(db);
  await sql`update changes set repository_id = 16, repository = 'github.com/#16/set-aside' where id = 'c16'`.execute(
    db,
  );
};

interface Offered {
  readonly id: string;
  readonly repository: string;
  readonly request_json: string | null;
}

const pageSize = 1000;

/** As its forge told it with the change; null for what says nothing of it. */
const idIn = ({ request_json: json }: Offered): number | null => {
  try {
    const request: unknown = JSON.parse(json ?? 'null');
    const id =
      typeof request === 'object' && request !== null && 'repositoryId' in request
        ? request.repositoryId
        : null;
    return Number.isSafeInteger(id) && Number(id) > 0 ? Number(id) : null;
  } catch {
    return null;
  }
};

const fillOffered = async (db: Kysely<unknown>): Promise<void> => {
  for (let last = ''; ; ) {
    const { rows } = await sql<Offered>`select id, repository, request_json from changes
      where kind in ('offered', 'group') and id > ${last} order by id limit ${sql.lit(pageSize)}`.execute(db);
    for (const row of rows) {
      const id = idIn(row);
      if (id === null) continue;
      await sql`update changes set repository_id = ${id} where id = ${row.id}`.execute(db);
    }
    const end = rows.at(-1);
    if (end === undefined) return;
    last = end.id;
  }
};

/** What is under a name that another repository has by now was kept as if it were of that one. */
const setMixedAside = async (db: Kysely<unknown>): Promise<void> => {
  const mixed = await sql<{ host: string; repository: string; repository_id: number }>`
    select distinct host, repository, changes.repository_id from changes
    join hosted_repositories as holder on holder.host || '/' || holder.name = changes.repository
    where changes.repository_id <> holder.repository_id`.execute(db);
  for (const { host, repository, repository_id: id } of mixed.rows) {
    const aside = `#${id}/set-aside`;
    await sql`insert into hosted_repositories (host, repository_id, name, name_key)
      values (${host}, ${id}, ${aside}, ${aside}) on conflict do nothing`.execute(db);
    await sql`update changes set repository = (
        select host || '/' || name from hosted_repositories where host = ${host} and repository_id = ${id})
      where repository = ${repository} and repository_id = ${id}`.execute(db);
  }
};

export const keepRepositoryIds: SchemaMigration = {
  name: '0016-repository-ids',
  async up(db, types) {
    await db.schema.alterTable('changes').addColumn('repository_id', types.integer).execute();
    await fillOffered(db);
    await sql`update changes set repository_id = (
        select repository_id from hosted_repositories where host || '/' || name = changes.repository)
      where repository_id is null`.execute(db);
    await setMixedAside(db);
  },
  sampleRows,
};
