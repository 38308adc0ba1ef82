// Changes that were or are being judged, with their summaries.
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import type {
  ChangeKind,
  ChangeListing,
  ChangePage,
  ChangeQuery,
  ChangeState,
  StoredChange,
} from '../database.ts';
import { DatabaseError } from '../database-error.ts';
import { holderOfKept } from './named.ts';
import { type Session, takeNumbers } from './session.ts';
import type { ChangeTable } from './tables.ts';

export interface ChangeCalls {
  save(change: StoredChange): Promise<void>;
  find(id: string): Promise<StoredChange | null>;
  findByNumber(repository: string, number: number): Promise<StoredChange | null>;
  findByHead(sha: string): Promise<readonly ChangeListing[]>;
  list(query: ChangeQuery): Promise<ChangePage>;
}

export const listedColumns = [
  'id',
  'kind',
  'repository',
  'base_commit',
  'head_commit',
  'judged_tree',
  'title',
  'created_at_ms',
  'conclusion',
  'number',
  'branch',
  'state',
  'updated_at_ms',
  'fault',
  'faults',
  'retry_at_ms',
  'approved',
  'base_branch',
  'repository_id',
] as const;

export const priorities: Readonly<Record<ChangeKind, number>> = {
  group: 0,
  branch: 1,
  offered: 1,
  submitted: 1,
  baseline: 2,
};

export const listingOf = (row: Pick<ChangeTable, (typeof listedColumns)[number]>): ChangeListing => ({
  id: row.id,
  // The casts are the edge: only this folder writes these columns, from the same types.
  kind: row.kind as ChangeKind,
  repository: row.repository,
  number: row.number,
  branch: row.branch,
  baseBranch: row.base_branch,
  base: row.base_commit === '' ? null : (row.base_commit as CommitSha),
  head: row.head_commit as CommitSha,
  judgedTree: row.judged_tree as TreeSha | null,
  title: row.title,
  state: row.state as ChangeState,
  createdAtMs: row.created_at_ms,
  updatedAtMs: row.updated_at_ms,
  conclusion: row.conclusion,
  fault: row.fault,
  faults: row.faults,
  retryAtMs: row.retry_at_ms,
  approved: row.approved === 1,
  ...(row.repository_id !== null && { repositoryId: row.repository_id }),
});

export const storedOf = (row: ChangeTable): StoredChange => ({
  ...listingOf(row),
  summaryJson: row.summary_json,
  markdown: row.markdown,
  requestJson: row.request_json,
});

const save = async (session: Session, change: StoredChange): Promise<void> => {
  const columns = {
    kind: change.kind,
    repository: change.repository,
    base_commit: change.base ?? '',
    head_commit: change.head,
    judged_tree: change.judgedTree,
    title: change.title,
    created_at_ms: change.createdAtMs,
    conclusion: change.conclusion,
    summary_json: change.summaryJson,
    number: change.number,
    branch: change.branch,
    state: change.state,
    updated_at_ms: change.updatedAtMs,
    fault: change.fault,
    markdown: change.markdown,
    lease_owner: null,
    lease_until_ms: null,
    priority: priorities[change.kind],
    faults: change.faults,
    retry_at_ms: change.retryAtMs,
    approved: change.approved ? 1 : 0,
    request_json: change.requestJson,
    unsatisfiable: null,
    offer_changed: 0,
    failures_cleared: 0,
    base_branch: change.baseBranch,
    repository_id: change.repositoryId ?? (await holderOfKept(session, change.repository)),
  };
  const sequence = await takeNumbers(session, 'change', 1);
  await session.kysely
    .insertInto('changes')
    .values({ id: change.id, sequence, ...columns })
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

/** Newest first, and by id as SQL compares texts: by bytes. */
const compareByAge = (one: ChangeListing, other: ChangeListing): number =>
  other.createdAtMs - one.createdAtMs || Buffer.compare(Buffer.from(other.id), Buffer.from(one.id));

const readKinds = async (
  session: Session,
  { kinds, ...query }: ChangeQuery & { readonly kinds: readonly ChangeKind[] },
): Promise<ChangeListing[]> => {
  // One kind of one repository is read in its order from an index; several would be read whole, with all their texts.
  if (query.repository !== undefined && kinds.length > 1) {
    const found: ChangeListing[] = [];
    for (const kind of new Set(kinds)) found.push(...(await readKinds(session, { ...query, kinds: [kind] })));
    return found.toSorted(compareByAge).slice(0, query.limit);
  }
  let select = session.kysely
    .selectFrom('changes')
    .select(listedColumns)
    .orderBy('created_at_ms', 'desc')
    .orderBy('id', 'desc')
    .where('kind', 'in', kinds)
    .limit(query.limit);
  if (query.repository !== undefined) select = select.where('repository', '=', query.repository);
  if (query.branch !== undefined) select = select.where('branch', '=', query.branch);
  if (query.states !== undefined) select = select.where('state', 'in', query.states);
  if (query.notOf?.length) select = select.where('repository', 'not in', query.notOf);
  if (query.cursor !== undefined) {
    const { createdAtMs, id } = readCursor(query.cursor);
    select = select.where((expression) =>
      expression(expression.refTuple('created_at_ms', 'id'), '<', expression.tuple(createdAtMs, id)),
    );
  }
  return (await select.execute()).map(listingOf);
};

const list = async (session: Session, query: ChangeQuery): Promise<ChangePage> => {
  const limit = Math.min(1000, Math.max(1, Math.trunc(query.limit)));
  const { kinds = ['branch', 'offered'] } = query;
  const changes = await readKinds(session, { ...query, kinds, limit: limit + 1 });
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
    return row === undefined ? null : storedOf(row);
  },
  async findByNumber(repository, number) {
    const row = await session.kysely
      .selectFrom('changes')
      .selectAll()
      .where('repository', '=', repository)
      .where('number', '=', number)
      .orderBy('sequence', 'desc')
      .limit(1)
      .executeTakeFirst();
    return row === undefined ? null : storedOf(row);
  },
  async findByHead(sha) {
    const rows = await session.kysely
      .selectFrom('changes')
      .select(listedColumns)
      .where('head_commit', '=', sha)
      .orderBy('sequence', 'desc')
      .execute();
    return rows.map(listingOf);
  },
  list: (query) => list(session, query),
});
