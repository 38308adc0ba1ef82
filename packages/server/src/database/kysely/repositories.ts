// Names of repositories of hosted forges, each of which has one holder.
import {
  asideName,
  isAside,
  type NamedRepository,
  type Repositories,
  repositoryKey,
  type SeenRepository,
  type SetAside,
  type StoredRepository,
} from '../repositories.ts';
import { moveRows } from './move-rows.ts';
import { holderOf } from './named.ts';
import { type Session, takeNumbers } from './session.ts';
import { markOwn, setAside, setPrivacyAside, setStrangersAside } from './set-aside.ts';

export type RepositoryCalls = Repositories;

/** Whoever had the name before its address was given up: what was submitted by that is theirs. */
const markFormer = async (session: Session, host: string, name: string): Promise<void> => {
  const former = await session.kysely
    .selectFrom('former_names')
    .select('repository_id')
    .where('host', '=', host)
    .where('name_key', '=', repositoryKey(name))
    .executeTakeFirst();
  if (former !== undefined) await markOwn(session, { host, repositoryId: former.repository_id, name });
};

const nameIt = async (session: Session, { host, repositoryId, name }: SeenRepository): Promise<void> => {
  const { kysely } = session;
  const key = repositoryKey(name);
  await kysely.deleteFrom('former_names').where('host', '=', host).where('name_key', '=', key).execute();
  await kysely
    .insertInto('hosted_repositories')
    .values({ host, repository_id: repositoryId, name, name_key: key })
    .onConflict((conflict) =>
      conflict.columns(['host', 'repository_id']).doUpdateSet({ name, name_key: key }),
    )
    .execute();
  const isOfOther = await kysely
    .selectFrom('private_repositories')
    .select('repository_id')
    .where('host', '=', host)
    .where('name_key', '=', key)
    .where('repository_id', '<>', repositoryId)
    .execute();
  for (const { repository_id: id } of isOfOther) {
    await setPrivacyAside(session, { host, repositoryId: id, from: name, to: asideName(id) });
  }
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

/** The name that it is told to have had, where nobody else is known by that. */
const oldNameOf = async (session: Session, { host, oldName }: SeenRepository): Promise<string | null> =>
  oldName === null || (await holderOf(session, host, oldName)) !== null ? null : oldName;

const seen = async (session: Session, repository: SeenRepository): Promise<NamedRepository> => {
  // The lock comes before the look, as wherever changes are written.
  await takeNumbers(session, 'change', 0);
  const { host, repositoryId, name } = repository;
  const known = await session.kysely
    .selectFrom('hosted_repositories')
    .select('name')
    .where('host', '=', host)
    .where('repository_id', '=', repositoryId)
    .executeTakeFirst();
  if (known?.name === name) return { from: null, aside: [] };
  const from = known?.name ?? (await oldNameOf(session, repository));
  const holder = await holderOf(session, host, name);
  const aside: SetAside[] = [];
  if (holder === null) {
    await markFormer(session, host, name);
    aside.push(...(await setStrangersAside(session, { host, repositoryId, name })));
  } else if (holder.repositoryId !== repositoryId) aside.push(await setAside(session, host, holder));
  await nameIt(session, repository);
  if (from === null || from === name) return { from: null, aside };
  if (known === undefined)
    aside.push(...(await setStrangersAside(session, { host, repositoryId, name: from })));
  await moveRows(session, { host, from, to: name });
  if (!isAside(from) && repositoryKey(from) !== repositoryKey(name)) {
    await rememberFormer(session, repository, from);
  }
  return { from, aside };
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
