// Changes that were or are being judged, with their summaries.
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import type { ChangeListing, ChangePage, ChangeQuery, StoredChange } from '../database.ts';
import { DatabaseError } from '../database-error.ts';
import type { Session } from './session.ts';
import type { ChangeTable } from './tables.ts';

export interface ChangeCalls {
  save(change: StoredChange): Promise<void>;
  find(id: string): Promise<StoredChange | null>;
  list(query: ChangeQuery): Promise<ChangePage>;
}

const listed = [
  'id',
  'repository',
  'base_commit',
  'head_commit',
  'judged_tree',
  'title',
  'created_at_ms',
  'conclusion',
] as const;

const listingOf = (row: Pick<ChangeTable, (typeof listed)[number]>): ChangeListing => ({
  id: row.id,
  repository: row.repository,
  // The casts are the edge: only `save` writes these columns, from the same types.
  base: row.base_commit as CommitSha,
  head: row.head_commit as CommitSha,
  judgedTree: row.judged_tree as TreeSha | null,
  title: row.title,
  createdAtMs: row.created_at_ms,
  conclusion: row.conclusion,
});

const save = async (session: Session, change: StoredChange): Promise<void> => {
  const columns = {
    repository: change.repository,
    base_commit: change.base,
    head_commit: change.head,
    judged_tree: change.judgedTree,
    title: change.title,
    created_at_ms: change.createdAtMs,
    conclusion: change.conclusion,
    summary_json: change.summaryJson,
  };
  await session.kysely
    .insertInto('changes')
    .values({ id: change.id, ...columns })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(columns))
    .execute();
};

const writeCursor = ({ createdAtMs, id }: ChangeListing): string =>
  Buffer.from(JSON.stringify([createdAtMs, id])).toString('base64url');

const readCursor = (cursor: string): { createdAtMs: number; id: string } => {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(parsed)) {
      const pair: readonly unknown[] = parsed;
      const [createdAtMs, id] = pair;
      if (Number.isSafeInteger(createdAtMs) && typeof id === 'string') {
        return { createdAtMs: Number(createdAtMs), id };
      }
    }
  } catch {
    // Not even JSON: the same answer.
  }
  throw new DatabaseError('DATABASE_BAD_CURSOR', 'this cursor is not one of ours: start again without one');
};

const list = async (session: Session, query: ChangeQuery): Promise<ChangePage> => {
  const limit = Math.min(1000, Math.max(1, Math.trunc(query.limit)));
  let select = session.kysely
    .selectFrom('changes')
    .select(listed)
    .orderBy('created_at_ms', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1);
  if (query.repository !== undefined) select = select.where('repository', '=', query.repository);
  if (query.cursor !== undefined) {
    const { createdAtMs, id } = readCursor(query.cursor);
    select = select.where((expression) =>
      expression(expression.refTuple('created_at_ms', 'id'), '<', expression.tuple(createdAtMs, id)),
    );
  }
  const changes = (await select.execute()).map(listingOf);
  const last = changes.length > limit ? changes[limit - 1] : undefined;
  return { changes: changes.slice(0, limit), nextCursor: last === undefined ? null : writeCursor(last) };
};

export const changeCalls = (session: Session): ChangeCalls => ({
  save: (change) => save(session, change),
  async find(id) {
    const row = await session.kysely
      .selectFrom('changes')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
    return row === undefined ? null : { ...listingOf(row), summaryJson: row.summary_json };
  },
  list: (query) => list(session, query),
});
