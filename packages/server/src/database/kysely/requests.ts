// What people ask of changes: a judgement by hand, its end, another one. And what time does: rows that nobody needs.
import { sql } from 'kysely';
import type { ChangeListing, Changes, NewSubmission } from '../database.ts';
import { listedColumns, listingOf } from './changes.ts';
import { forgetFailures } from './failures.ts';
import { live, nextNumber, queuedRow } from './judging.ts';
import { unleased } from './leases.ts';
import { repositoryOfAddress } from './named.ts';
import { type Session, takeNumbers } from './session.ts';

export type RequestCalls = Pick<Changes, 'submit' | 'cancel' | 'requeue' | 'forget'>;

const findListing = async (session: Session, id: string): Promise<ChangeListing | null> => {
  const row = await session.kysely
    .selectFrom('changes')
    .select(listedColumns)
    .where('id', '=', id)
    .executeTakeFirst();
  return row === undefined ? null : listingOf(row);
};

const submit = async (session: Session, submission: NewSubmission) => {
  // The lock comes before the look: of two that submit the same the second must see the first.
  const sequence = await takeNumbers(session, 'change', 1);
  const known = await findListing(session, submission.id);
  if (known !== null) return { change: known, isNew: false };
  const { id, repository, branch, base, head, title, requestJson, atMs } = submission;
  const number = await nextNumber(session, repository);
  const row = queuedRow(
    {
      id,
      kind: 'submitted',
      repository,
      branch,
      base_commit: base ?? '',
      head_commit: head,
      title,
      sequence,
      number,
      request_json: requestJson,
      base_branch: null,
      repository_id: await repositoryOfAddress(session, repository),
    },
    atMs,
  );
  await session.kysely.insertInto('changes').values(row).execute();
  return { change: listingOf(row), isNew: true };
};

const cancel = async (session: Session, id: string, atMs: number) => {
  const row = await session.kysely
    .updateTable('changes')
    .set({
      state: 'failed',
      conclusion: 'cancelled',
      fault: 'CANCELLED: somebody asked for its end',
      retry_at_ms: null,
      updated_at_ms: atMs,
      ...unleased,
    })
    .where('id', '=', id)
    .where('state', 'in', live)
    .returning(listedColumns)
    .executeTakeFirst();
  if (row !== undefined) return { change: listingOf(row), ended: true };
  const change = await findListing(session, id);
  return change === null ? null : { change, ended: false };
};

/** One that is going to be judged, or is: a judgement that finds it waiting for approval is not its last. */
const approveLive = async (session: Session, id: string): Promise<ChangeListing | null> => {
  const row = await session.kysely
    .updateTable('changes')
    .set({ approved: 1 })
    .where('id', '=', id)
    .where('state', 'in', live)
    .returning(listedColumns)
    .executeTakeFirst();
  return row === undefined ? null : listingOf(row);
};

const requeue: Changes['requeue'] extends (...args: infer Args) => infer Result
  ? (session: Session, ...args: Args) => Result
  : never = async (session, id, { atMs, base, approved }) => {
  const sequence = await takeNumbers(session, 'change', 1);
  const row = await session.kysely
    .updateTable('changes')
    .set({
      state: 'queued',
      sequence,
      fault: null,
      faults: 0,
      retry_at_ms: null,
      updated_at_ms: atMs,
      ...(base === undefined ? {} : { base_commit: base }),
      ...(approved === undefined ? {} : { approved: 1 }),
      ...unleased,
    })
    .where('id', '=', id)
    .where('state', 'in', [
      'judged',
      'failed',
      ...(approved === undefined ? [] : (['awaiting-approval'] as const)),
    ])
    .returning(listedColumns)
    .executeTakeFirst();
  if (row !== undefined) return listingOf(row);
  return approved === undefined ? null : approveLive(session, id);
};

const branchUnlessSubmitted = sql<string>`case newest.kind when 'submitted' then '' else newest.branch end`;

const forget = async (session: Session, beforeMs: number): Promise<number> => {
  const rows = await session.kysely
    .deleteFrom('changes')
    .where('updated_at_ms', '<', beforeMs)
    .where((expression) =>
      expression.or([
        expression('state', 'in', ['superseded', 'closed']),
        expression.and([
          expression('kind', 'in', ['baseline', 'submitted']),
          expression('state', 'in', ['judged', 'failed']),
        ]),
      ]),
    )
    // The newest of a branch stays: its number is given for ever, and a baseline is what the next one starts from. Of
    // what was submitted the newest of each repository holds the place of the numbers before. A group has neither.
    .where('sequence', 'not in', (expression) =>
      expression
        .selectFrom('changes as newest')
        .select((columns) => columns.fn.max('newest.sequence').as('sequence'))
        .where('newest.kind', '<>', 'group')
        .groupBy(['newest.kind', 'newest.repository', branchUnlessSubmitted]),
    )
    .returning('id')
    .execute();
  await forgetFailures(
    session,
    rows.map(({ id }) => id),
  );
  return rows.length;
};

export const requestCalls = (session: Session): RequestCalls => ({
  submit: (submission) => submit(session, submission),
  cancel: (id, atMs) => cancel(session, id, atMs),
  requeue: (id, again) => requeue(session, id, again),
  forget: (beforeMs) => forget(session, beforeMs),
});
