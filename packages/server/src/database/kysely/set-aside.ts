// What is kept of repositories whose name another one has: under a name that nobody can have.
import { type SqlBool, sql } from 'kysely';
import {
  asideName,
  plainNameOf,
  repositoryKey,
  type SeenRepository,
  type SetAside,
} from '../repositories.ts';
import { type Move, moveChanges, moveGates, moveMerges, moveRows } from './move-rows.ts';
import { nameNow } from './named.ts';
import type { Session } from './session.ts';

type Named = Omit<SeenRepository, 'oldName' | 'atMs'>;

/** Also of changes that are forgotten: then by the name alone. */
const setHookRunsAside = async ({ kysely }: Session, { host, from, to }: Move): Promise<void> => {
  await kysely
    .updateTable('hook_runs')
    .set({ repository: to })
    .where('repository', '=', from)
    .where((rows) => {
      const changes = rows
        .selectFrom('changes')
        .select('changes.id')
        .whereRef('changes.id', '=', 'change_id');
      return rows.or([
        rows.exists(changes.where('changes.repository', '=', `${host}/${to}`)),
        rows.not(rows.exists(changes)),
      ]);
    })
    .execute();
};

/** By whatever address they were submitted: they go on under it, and are its own. */
export const markOwn = async ({ kysely }: Session, { host, repositoryId, name }: Named): Promise<void> => {
  const key = repositoryKey(`${host}/${name}`);
  const addresses = await kysely
    .selectFrom('changes')
    .select('repository')
    .distinct()
    .where('repository_id', 'is', null)
    .where(sql<SqlBool>`lower(repository) like ${`%${repositoryKey(name)}%`}`)
    .execute();
  const own = addresses.filter(({ repository }) => repositoryKey(plainNameOf(repository)) === key);
  for (const { repository } of own) {
    await kysely
      .updateTable('changes')
      .set({ repository_id: repositoryId })
      .where('repository', '=', repository)
      .where('repository_id', 'is', null)
      .execute();
  }
};

/** It is private under that name no more; under another one it stays so. */
export const setPrivacyAside = async (
  { kysely }: Session,
  { host, repositoryId, from, to }: SetAside & Pick<Move, 'host'>,
): Promise<void> => {
  const rows = await kysely
    .deleteFrom('private_repositories')
    .where('host', '=', host)
    .where('name_key', '=', repositoryKey(from))
    .where('repository_id', '=', repositoryId)
    .returning('name')
    .execute();
  if (rows.length === 0) return;
  await kysely
    .insertInto('private_repositories')
    .values({ host, name_key: repositoryKey(to), repository_id: repositoryId, name: to })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
};

const nameAside = async ({ kysely }: Session, { host, repositoryId, name }: Named): Promise<void> => {
  const named = { name, name_key: repositoryKey(name) };
  await kysely
    .insertInto('hosted_repositories')
    .values({ host, repository_id: repositoryId, ...named })
    .onConflict((conflict) => conflict.columns(['host', 'repository_id']).doUpdateSet(named))
    .execute();
};

/** All that is kept of one whose name another one has. */
export const setAside = async (
  session: Session,
  host: string,
  { repositoryId, name: from }: { readonly repositoryId: number; readonly name: string },
): Promise<SetAside> => {
  const to = asideName(repositoryId);
  const move = { host, from, to };
  await markOwn(session, { host, repositoryId, name: from });
  await moveRows(session, move);
  await setHookRunsAside(session, move);
  await setPrivacyAside(session, { ...move, repositoryId });
  await nameAside(session, { host, repositoryId, name: to });
  return { repositoryId, from, to };
};

/** Whose changes are under a name that nobody is known by: rows of a time when names were not kept. */
const strangersUnder = async (
  { kysely }: Session,
  { host, repositoryId, name }: Named,
): Promise<number[]> => {
  const rows = await kysely
    .selectFrom('changes')
    .select('repository_id')
    .distinct()
    .where('repository', '=', `${host}/${name}`)
    .where('repository_id', 'is not', null)
    .where('repository_id', '<>', repositoryId)
    .execute();
  return rows.flatMap(({ repository_id: id }) => (id === null ? [] : [id]));
};

/**
 * They go where their own repository is. Gates and merges tell of none: they are of the first, and of nobody's that is
 * shown here.
 */
export const setStrangersAside = async (session: Session, seen: Named): Promise<SetAside[]> => {
  const { host, name: from } = seen;
  const aside: SetAside[] = [];
  for (const repositoryId of await strangersUnder(session, seen)) {
    const to = await nameNow(session, { host, repositoryId }, asideName(repositoryId));
    const move = { host, from, to };
    await moveChanges(session, move, repositoryId);
    if (aside.length === 0) {
      await moveGates(session, move);
      await moveMerges(session, move);
    }
    await setHookRunsAside(session, move);
    await setPrivacyAside(session, { ...move, repositoryId });
    await nameAside(session, { host, repositoryId, name: to });
    aside.push({ repositoryId, from, to });
  }
  return aside;
};
