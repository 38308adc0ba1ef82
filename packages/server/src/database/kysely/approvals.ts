// Authors who need no approval, and runs that a forge holds.
import type { Approvals, ApprovedAuthor } from '../approvals.ts';
import type { Session } from './session.ts';
import type { ApprovedAuthorTable } from './tables.ts';

export type ApprovalCalls = Approvals;

type Author = Pick<ApprovedAuthor, 'host' | 'userId'>;

const authorOf = (row: ApprovedAuthorTable): ApprovedAuthor => ({
  host: row.host,
  userId: row.user_id,
  login: row.login,
  approvedBy: row.approved_by,
  atMs: row.at_ms,
});

const findAuthor = (session: Session, { host, userId }: Author) =>
  session.kysely
    .selectFrom('approved_authors')
    .selectAll()
    .where('host', '=', host)
    .where('user_id', '=', userId)
    .executeTakeFirst();

export const approvalCalls = (session: Session): ApprovalCalls => ({
  async approveAuthor({ host, userId, login, approvedBy, atMs }) {
    const rows = await session.kysely
      .insertInto('approved_authors')
      .values({ host, user_id: userId, login, approved_by: approvedBy, at_ms: atMs })
      .onConflict((conflict) => conflict.columns(['host', 'user_id']).doNothing())
      .returning('user_id')
      .execute();
    return rows.length > 0;
  },
  isApproved: async (author) => (await findAuthor(session, author)) !== undefined,
  async list() {
    const rows = await session.kysely
      .selectFrom('approved_authors')
      .selectAll()
      .orderBy('at_ms')
      .orderBy('host')
      .orderBy('user_id')
      .execute();
    return rows.map(authorOf);
  },
  async withdraw({ host, userId }) {
    const rows = await session.kysely
      .deleteFrom('approved_authors')
      .where('host', '=', host)
      .where('user_id', '=', userId)
      .returning('user_id')
      .execute();
    return rows.length > 0;
  },
  async holdRun({ host, runId, atMs }) {
    await session.kysely
      .insertInto('held_runs')
      .values({ host, run_id: runId, at_ms: atMs })
      .onConflict((conflict) => conflict.columns(['host', 'run_id']).doNothing())
      .execute();
  },
  async isRunHeld({ host, runId }) {
    const row = await session.kysely
      .selectFrom('held_runs')
      .select('run_id')
      .where('host', '=', host)
      .where('run_id', '=', runId)
      .executeTakeFirst();
    return row !== undefined;
  },
  async releaseRun({ host, runId }) {
    await session.kysely
      .deleteFrom('held_runs')
      .where('host', '=', host)
      .where('run_id', '=', runId)
      .execute();
  },
  async forgetRuns(heldBeforeMs) {
    const rows = await session.kysely
      .deleteFrom('held_runs')
      .where('at_ms', '<', heldBeforeMs)
      .returning('run_id')
      .execute();
    return rows.length;
  },
});
