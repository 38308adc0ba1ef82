// What judgements hand on to caches and to hooks.
import type { NewPublication, PublicationReader, Publications, StoredPublication } from '../publications.ts';
import { keptNames } from './named.ts';
import { type Session, takeNumbers } from './session.ts';

export type PublicationCalls = Publications;

const columnOf = { pushes: 'for_pushes', hooks: 'for_hooks' } as const satisfies Record<
  PublicationReader,
  string
>;

const insertPublication = `insert into publications (id, change_id, publication_json, at_ms, for_pushes, for_hooks)
  values ($1, $2, $3, $4, $5, $6)`;

/** Of a change whose verdict is kept in the same transaction. */
export const keepPublications = async (
  session: Session,
  { id: changeId, atMs }: { readonly id: string } & Pick<StoredPublication, 'atMs'>,
  publications: readonly NewPublication[],
): Promise<void> => {
  const wanted = publications.filter(({ readers }) => readers.length > 0);
  if (wanted.length === 0) return;
  const first = await takeNumbers(session, 'publication', wanted.length);
  for (const [index, { readers, json }] of wanted.entries()) {
    // One at a time: each may be of hundreds of kilobytes.
    await session.run(insertPublication, [
      ...[first + index, changeId, json, atMs],
      ...[readers.includes('pushes') ? 1 : 0, readers.includes('hooks') ? 1 : 0],
    ]);
  }
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
    const kept = await keptNames(
      session,
      rows.map((row) => row.change_id),
    );
    return rows.map((row) => ({
      id: row.id,
      changeId: row.change_id,
      repository: kept.get(row.change_id) ?? null,
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
