// Merges that people asked for, and what reviewers said.
import type { MergeMethod } from '@eka-ci/core/comment-command';
import type { CommitSha } from '@eka-ci/core/ids';
import { type SqlBool, sql } from 'kysely';
import {
  type KeptVerdict,
  type MergeState,
  type Merges,
  type MergeTelling,
  type NewMerge,
  openMergeStates,
  type Reviews,
  type StoredMerge,
  type StoredReview,
} from '../merges.ts';
import { keptNow } from './named.ts';
import { type Session, takeNumbers } from './session.ts';
import type { MergeRequestTable, ReviewTable } from './tables.ts';

export type MergeCalls = Merges;
export type ReviewCalls = Reviews;

// As the index has it, to the letter.
const isUnfinished = sql<SqlBool>`told = 0`;

const dismissed = 'dismissed';

const mergeOf = (row: MergeRequestTable): StoredMerge => ({
  id: row.id,
  repository: row.repository,
  number: row.number,
  // The casts are the edge: only this folder writes these columns, from the same types.
  headSha: row.head_sha as CommitSha,
  baseBranch: row.base_branch,
  method: row.method as MergeMethod | null,
  byId: row.by_id,
  byLogin: row.by_login,
  commentId: row.comment_id,
  needsReviews: row.needs_reviews === 1,
  askedAtMs: row.asked_at_ms,
  state: row.state as MergeState,
  attempts: row.attempts,
  nextAtMs: row.next_at_ms,
  fault: row.fault,
  telling: row.ended === 1 ? { reaction: row.reaction as MergeTelling['reaction'], reply: row.reply } : null,
  isTold: row.told === 1,
  updatedAtMs: row.updated_at_ms,
});

const rowOfComment = (session: Session, repository: string, commentId: number) =>
  session.kysely
    .selectFrom('merge_requests')
    .selectAll()
    .where('repository', '=', repository)
    .where('comment_id', '=', commentId)
    .executeTakeFirst();

const newestRow = (session: Session, repository: string, number: number) =>
  session.kysely
    .selectFrom('merge_requests')
    .selectAll()
    .where('repository', '=', repository)
    .where('number', '=', number)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();

/** Every new one ends those before it: only the newest may be open. */
const openRow = async (session: Session, repository: string, number: number) => {
  const row = await newestRow(session, repository, number);
  return row === undefined || row.ended === 1 ? undefined : row;
};

const update = (session: Session, id: number, set: Partial<MergeRequestTable>) =>
  session.kysely.updateTable('merge_requests').set(set).where('id', '=', id);

const ask = async (session: Session, merge: NewMerge): Promise<StoredMerge> => {
  // The lock comes before the look: of two for one change the second must see the first.
  await takeNumbers(session, 'merge', 0);
  // And what moves rows to another name holds this one.
  if (merge.repositoryId !== undefined) await takeNumbers(session, 'change', 0);
  const { commentId } = merge;
  const repository = await keptNow(session, merge);
  const known = commentId === null ? undefined : await rowOfComment(session, repository, commentId);
  if (known !== undefined) return mergeOf(known);
  const before = await openRow(session, repository, merge.number);
  const silent = { ended: 1, told: 1, reaction: null, reply: null, updated_at_ms: merge.askedAtMs };
  if (before !== undefined) await update(session, before.id, { state: 'replaced', ...silent }).execute();
  const isUnderWay = before?.state === 'merging' && before.head_sha === merge.headSha;
  const row: MergeRequestTable = {
    id: await takeNumbers(session, 'merge', 1),
    repository,
    number: merge.number,
    head_sha: merge.headSha,
    base_branch: merge.baseBranch,
    method: merge.method,
    by_id: merge.byId,
    by_login: merge.byLogin,
    comment_id: merge.commentId,
    needs_reviews: merge.needsReviews ? 1 : 0,
    asked_at_ms: merge.askedAtMs,
    state: isUnderWay ? 'merging' : 'pending',
    attempts: 0,
    next_at_ms: 0,
    fault: null,
    ended: 0,
    reaction: null,
    reply: null,
    told: 0,
    updated_at_ms: merge.askedAtMs,
  };
  await session.kysely.insertInto('merge_requests').values(row).execute();
  return mergeOf(row);
};

type MergeMethodOf<Name extends keyof Merges> = Merges[Name] extends (...args: infer Args) => infer Result
  ? (session: Session, ...args: Args) => Result
  : never;

const end: MergeMethodOf<'end'> = async (session, id, { state, telling, atMs }) => {
  const { reaction, reply } = telling;
  const told = reaction === null && reply === null ? 1 : 0;
  const settled = { attempts: 0, next_at_ms: 0, fault: null, updated_at_ms: atMs };
  const row = await update(session, id, { state, ended: 1, reaction, reply, told, ...settled })
    .where('state', 'in', openMergeStates)
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
};

const putOff: MergeMethodOf<'putOff'> = async (session, id, { fault, nextAtMs, atMs }) => {
  const row = await session.kysely
    .selectFrom('merge_requests')
    .select('attempts')
    .where('id', '=', id)
    .executeTakeFirst();
  if (row === undefined) return;
  const attempts = fault === null ? row.attempts : row.attempts + 1;
  await update(session, id, { fault, attempts, next_at_ms: nextAtMs, updated_at_ms: atMs })
    .where(isUnfinished)
    .execute();
};

const forget = async (session: Session, beforeMs: number): Promise<number> => {
  await session.kysely.deleteFrom('reviews').where('at_ms', '<', beforeMs).execute();
  const rows = await session.kysely
    .deleteFrom('merge_requests')
    .where(sql<SqlBool>`told = 1`)
    .where('updated_at_ms', '<', beforeMs)
    .returning('id')
    .execute();
  return rows.length;
};

export const mergeCalls = (session: Session): MergeCalls => ({
  ask: (merge) => ask(session, merge),
  async unfinished() {
    const rows = await session.kysely
      .selectFrom('merge_requests')
      .selectAll()
      .where(isUnfinished)
      // Of a repository whose name another one has: nobody can be asked to do it, or be told.
      .where('repository', 'not like', '%/#%')
      .orderBy('id')
      .execute();
    return rows.map(mergeOf);
  },
  async find(id) {
    const row = await session.kysely
      .selectFrom('merge_requests')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
    return row === undefined ? null : mergeOf(row);
  },
  async findByComment(repository, commentId) {
    const row = await rowOfComment(session, repository, commentId);
    return row === undefined ? null : mergeOf(row);
  },
  async findOpen(repository, number) {
    const row = await openRow(session, repository, number);
    return row === undefined ? null : mergeOf(row);
  },
  async newestOf(repository, number) {
    const row = await newestRow(session, repository, number);
    return row === undefined ? null : mergeOf(row);
  },
  async step(id, state, atMs) {
    // Whoever is asked once more and fails once more has failed twice.
    const settled = state === 'queued' ? { attempts: 0, next_at_ms: 0, fault: null } : {};
    const row = await update(session, id, { state, updated_at_ms: atMs, ...settled })
      .where('state', 'in', openMergeStates)
      .returning('id')
      .executeTakeFirst();
    return row !== undefined;
  },
  end: (id, ending) => end(session, id, ending),
  putOff: (id, why) => putOff(session, id, why),
  async told(id, atMs) {
    await update(session, id, { told: 1, fault: null, updated_at_ms: atMs })
      .where('ended', '=', 1)
      .where(isUnfinished)
      .execute();
  },
  forget: (beforeMs) => forget(session, beforeMs),
});

type NewReview = Omit<ReviewTable, 'repository' | 'number' | 'reviewer_id'>;

/** @param isAgain what is kept of the same review is replaced, too */
const keepReview = async (
  session: Session,
  of: Pick<StoredReview, 'repository' | 'repositoryId' | 'number' | 'reviewerId'>,
  { said, isAgain }: { readonly said: NewReview; readonly isAgain: boolean },
): Promise<void> => {
  const { number, reviewerId } = of;
  // The lock comes before the look: what moves rows to another name holds it.
  if (of.repositoryId !== undefined) await takeNumbers(session, 'change', 0);
  const repository = await keptNow(session, of);
  await session.kysely
    .insertInto('reviews')
    .values({ repository, number, reviewer_id: reviewerId, ...said })
    .onConflict((conflict) =>
      conflict
        .columns(['repository', 'number', 'reviewer_id'])
        .doUpdateSet(said)
        .where('reviews.review_id', isAgain ? '<=' : '<', said.review_id),
    )
    .execute();
};

export const reviewCalls = (session: Session): ReviewCalls => ({
  save: ({ reviewerLogin, reviewId, verdict, reviewedSha, atMs, ...of }) => {
    const said = { reviewer_login: reviewerLogin, review_id: reviewId, verdict, reviewed_sha: reviewedSha };
    return keepReview(session, of, { said: { ...said, at_ms: atMs }, isAgain: false });
  },
  dismiss: ({ reviewerLogin, reviewId, atMs, ...of }) => {
    const said = {
      reviewer_login: reviewerLogin,
      review_id: reviewId,
      verdict: dismissed,
      reviewed_sha: null,
    };
    return keepReview(session, of, { said: { ...said, at_ms: atMs }, isAgain: true });
  },
  async of(repository, number) {
    const rows = await session.kysely
      .selectFrom('reviews')
      .selectAll()
      .where('repository', '=', repository)
      .where('number', '=', number)
      .where('verdict', '<>', dismissed)
      .orderBy('reviewer_id')
      .execute();
    return rows.map((row) => ({
      repository: row.repository,
      number: row.number,
      reviewerId: row.reviewer_id,
      reviewerLogin: row.reviewer_login,
      reviewId: row.review_id,
      verdict: row.verdict as KeptVerdict,
      reviewedSha: row.reviewed_sha as CommitSha | null,
      atMs: row.at_ms,
    }));
  },
});
