// What judgements hand on to caches and to hooks.
import type { NewPublication, PublicationReader, Publications, StoredPublication } from '../publications.ts';
import { type Session, takeNumbers } from './session.ts';

export type PublicationCalls = Publications;

const columnOf = { pushes: 'for_pushes', hooks: 'for_hooks' } as const satisfies Record<
  PublicationReader,
  string
>;

/** Of a change whose verdict is kept in the same transaction. */
export const keepPublication = async (
  session: Session,
  changeId: string,
  { readers, json, atMs }: NewPublication & Pick<StoredPublication, 'atMs'>,
): Promise<void> => {
  if (readers.length === 0) return;
  await session.kysely
    .insertInto('publications')
    .values({
      id: await takeNumbers(session, 'publication', 1),
      change_id: changeId,
      publication_json: json,
      for_pushes: readers.includes('pushes') ? 1 : 0,
      for_hooks: readers.includes('hooks') ? 1 : 0,
      at_ms: atMs,
    })
    .execute();
};

export const publicationCalls = (session: Session): PublicationCalls => ({
  async waiting(reader, limit) {
    const rows = await session.kysely
      .selectFrom('publications')
      .select(['id', 'change_id', 'publication_json', 'at_ms'])
      .where(columnOf[reader], '=', 1)
      .orderBy('id')
      .limit(Math.min(1000, Math.max(1, Math.trunc(limit))))
      .execute();
    return rows.map((row) => ({
      id: row.id,
      changeId: row.change_id,
      json: row.publication_json,
      atMs: row.at_ms,
    }));
  },
  async taken(reader, id) {
    await session.kysely
      .updateTable('publications')
      .set(reader === 'pushes' ? { for_pushes: 0 } : { for_hooks: 0 })
      .where('id', '=', id)
      .execute();
    await session.kysely
      .deleteFrom('publications')
      .where('id', '=', id)
      .where('for_pushes', '=', 0)
      .where('for_hooks', '=', 0)
      .execute();
  },
});
