// Whose a name is, for whoever writes rows under one: in the same transaction, so that nothing is written for another.
import { partsOfKept, plainNameOf, repositoryKey } from '../repositories.ts';
import type { Session } from './session.ts';

/** The repository that has this name now; null where none is known by it. @param name `owner/repo`, in any case */
export const holderOf = async (
  { kysely }: Session,
  host: string,
  name: string,
): Promise<{ readonly repositoryId: number; readonly name: string } | null> => {
  const row = await kysely
    .selectFrom('hosted_repositories')
    .select(['repository_id', 'name'])
    .where('host', '=', host)
    .where('name_key', '=', repositoryKey(name))
    .executeTakeFirst();
  return row === undefined ? null : { repositoryId: row.repository_id, name: row.name };
};

/** The same of a name under which changes are kept, with the forge's host in front. */
export const holderOfKept = async (session: Session, repository: string): Promise<number | null> => {
  const parts = partsOfKept(repository);
  return parts === null ? null : ((await holderOf(session, parts.host, parts.name))?.repositoryId ?? null);
};

/** Of an address that somebody wrote, also by a name that it had; null where nobody knows. */
export const repositoryOfAddress = async (session: Session, address: string): Promise<number | null> => {
  const parts = partsOfKept(repositoryKey(plainNameOf(address)));
  if (parts === null) return null;
  const holder = await holderOf(session, parts.host, parts.name);
  if (holder !== null) return holder.repositoryId;
  const former = await session.kysely
    .selectFrom('former_names')
    .select('repository_id')
    .where('host', '=', parts.host)
    .where('name_key', '=', parts.name)
    .executeTakeFirst();
  return former?.repository_id ?? null;
};

/** How it is called now, whatever it was called when somebody looked; `name` where it was never seen. */
export const nameNow = async (
  { kysely }: Session,
  { host, repositoryId }: { readonly host: string; readonly repositoryId: number | undefined },
  name: string,
): Promise<string> => {
  if (repositoryId === undefined) return name;
  const row = await kysely
    .selectFrom('hosted_repositories')
    .select('name')
    .where('host', '=', host)
    .where('repository_id', '=', repositoryId)
    .executeTakeFirst();
  return row?.name ?? name;
};

/** The same of a name with the forge's host in front. */
export const keptNow = async (
  session: Session,
  { repository, repositoryId }: { readonly repository: string; readonly repositoryId?: number },
): Promise<string> => {
  const parts = partsOfKept(repository);
  if (parts === null) return repository;
  const { host, name } = parts;
  return `${host}/${await nameNow(session, { host, repositoryId }, name)}`;
};

/** Under which changes are kept, by their ids; those that are forgotten are not in it. */
export type KeptNames = ReadonlyMap<string, string>;

const askedAtOnce = 256;

export const keptNames = async (
  { kysely }: Session,
  changeIds: readonly (string | null)[],
): Promise<KeptNames> => {
  const ids = [...new Set(changeIds)].filter((id) => id !== null);
  const kept = new Map<string, string>();
  for (let at = 0; at < ids.length; at += askedAtOnce) {
    const rows = await kysely
      .selectFrom('changes')
      .select(['id', 'repository'])
      .where('id', 'in', ids.slice(at, at + askedAtOnce))
      .execute();
    for (const { id, repository } of rows) kept.set(id, repository);
  }
  return kept;
};
