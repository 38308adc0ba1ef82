// Names of repositories of hosted forges, and the move of all rows that hold one.
import { sql } from 'kysely';
import {
  type Repositories,
  repositoryKey,
  type SeenRepository,
  type StoredRepository,
} from '../repositories.ts';
import { type Session, takeNumbers } from './session.ts';

export type RepositoryCalls = Repositories;

/** From one name to another, on one host. */
interface Move {
  readonly host: string;
  readonly from: string;
  readonly to: string;
}

/** As JSON has it: a quote inside of a value is written otherwise, so nothing else looks like it. */
const memberOf = (name: string): string => `"repository":${JSON.stringify(name)}`;

const moveChanges = async ({ kysely }: Session, { host, from, to }: Move): Promise<void> => {
  await kysely
    .updateTable('changes')
    .set({
      repository: `${host}/${to}`,
      request_json: sql`replace(request_json, ${memberOf(from)}, ${memberOf(to)})`,
    })
    .where('repository', '=', `${host}/${from}`)
    .execute();
};

/** What is shown under the new name already gives way: it was made by mistake, or is of a repository that is gone. */
const moveGates = async ({ kysely }: Session, { host, from, to }: Move): Promise<void> => {
  await kysely
    .deleteFrom('gates')
    .where('host', '=', host)
    .where('repository', '=', to)
    .where((rows) =>
      rows.exists(
        rows
          .selectFrom('gates as moved')
          .select('moved.name')
          .where('moved.host', '=', host)
          .where('moved.repository', '=', from)
          .whereRef('moved.head_sha', '=', 'gates.head_sha')
          .whereRef('moved.name', '=', 'gates.name'),
      ),
    )
    .execute();
  await kysely
    .updateTable('gates')
    .set({ repository: to, place_json: sql`replace(place_json, ${memberOf(from)}, ${memberOf(to)})` })
    .where('host', '=', host)
    .where('repository', '=', from)
    .execute();
};

const moveMerges = async ({ kysely }: Session, { host, from, to }: Move): Promise<void> => {
  const [old, now] = [`${host}/${from}`, `${host}/${to}`];
  await kysely
    .deleteFrom('merge_requests')
    .where('repository', '=', now)
    .where('comment_id', 'in', (query) =>
      query
        .selectFrom('merge_requests as moved')
        .select('moved.comment_id')
        .where('moved.repository', '=', old),
    )
    .execute();
  await kysely.updateTable('merge_requests').set({ repository: now }).where('repository', '=', old).execute();
  await kysely
    .deleteFrom('reviews')
    .where('repository', '=', now)
    .where((rows) =>
      rows.exists(
        rows
          .selectFrom('reviews as moved')
          .select('moved.number')
          .where('moved.repository', '=', old)
          .whereRef('moved.number', '=', 'reviews.number')
          .whereRef('moved.reviewer_id', '=', 'reviews.reviewer_id'),
      ),
    )
    .execute();
  await kysely.updateTable('reviews').set({ repository: now }).where('repository', '=', old).execute();
};

const nameIt = async ({ kysely }: Session, { host, repositoryId, name }: SeenRepository): Promise<void> => {
  const key = repositoryKey(name);
  await kysely
    .deleteFrom('hosted_repositories')
    .where('host', '=', host)
    .where('name_key', '=', key)
    .where('repository_id', '!=', repositoryId)
    .execute();
  await kysely.deleteFrom('former_names').where('host', '=', host).where('name_key', '=', key).execute();
  await kysely
    .insertInto('hosted_repositories')
    .values({ host, repository_id: repositoryId, name, name_key: key })
    .onConflict((conflict) =>
      conflict.columns(['host', 'repository_id']).doUpdateSet({ name, name_key: key }),
    )
    .execute();
};

const rememberFormer = async (
  { kysely }: Session,
  { host, repositoryId, atMs }: SeenRepository,
  name: string,
): Promise<void> => {
  const of = { repository_id: repositoryId, name, at_ms: atMs };
  await kysely
    .insertInto('former_names')
    .values({ host, name_key: repositoryKey(name), ...of })
    .onConflict((conflict) => conflict.columns(['host', 'name_key']).doUpdateSet(of))
    .execute();
};

const seen = async (session: Session, repository: SeenRepository): Promise<string | null> => {
  // The lock comes before the look, as wherever changes are written.
  await takeNumbers(session, 'change', 0);
  const { host, repositoryId, name } = repository;
  const known = await session.kysely
    .selectFrom('hosted_repositories')
    .select('name')
    .where('host', '=', host)
    .where('repository_id', '=', repositoryId)
    .executeTakeFirst();
  if (known?.name === name) return null;
  await nameIt(session, repository);
  const from = known?.name ?? repository.oldName;
  if (from === null || from === name) return null;
  const move = { host, from, to: name };
  await moveChanges(session, move);
  await moveGates(session, move);
  await moveMerges(session, move);
  if (repositoryKey(from) !== repositoryKey(name)) await rememberFormer(session, repository, from);
  return from;
};

export const repositoryCalls = (session: Session): RepositoryCalls => ({
  async list() {
    const rows = await session.kysely.selectFrom('hosted_repositories').selectAll().execute();
    const former = await session.kysely.selectFrom('former_names').selectAll().orderBy('at_ms').execute();
    return rows.map(
      ({ host, repository_id: repositoryId, name }): StoredRepository => ({
        host,
        repositoryId,
        name,
        formerNames: former
          .filter((one) => one.host === host && one.repository_id === repositoryId)
          .map((one) => one.name),
      }),
    );
  },
  seen: (repository) => seen(session, repository),
});
