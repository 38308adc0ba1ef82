// Approves somebody for good: nothing that they offer waits from now on, nor what waits already.
import type { ChangeListing, Database, StoredChange } from '../../database/database.ts';
import { type OfferedRequest, OfferUnreadableError, readOffered } from '../offered-request.ts';
import { approveChange } from './approve-change.ts';

export interface ApproveDeps {
  readonly database: Pick<Database, 'changes' | 'approvals'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

/** Null for a row of another version, which waits for somebody who approves it by itself. */
const readable = (row: StoredChange): OfferedRequest | null => {
  try {
    return readOffered(row);
  } catch (error) {
    if (error instanceof OfferUnreadableError) return null;
    throw error;
  }
};

/** Of all repositories of their forge. */
const letGo = async (
  deps: ApproveDeps,
  { host, userId }: { readonly host: string; readonly userId: number },
): Promise<ChangeListing[]> => {
  const { changes } = deps.database;
  const queued: ChangeListing[] = [];
  let cursor: string | null = '';
  do {
    const page: Awaited<ReturnType<typeof changes.list>> = await changes.list({
      ...{ kinds: ['offered'], states: ['awaiting-approval'], limit: 200 },
      ...(cursor !== '' && { cursor }),
    });
    for (const { id } of page.changes) {
      const row = await changes.find(id);
      const offered = row === null ? null : readable(row);
      if (row === null || offered?.host !== host || offered.author?.id !== userId) continue;
      const approved = await approveChange(deps, row);
      if (approved.kind === 'approved') queued.push(approved.change);
    }
    cursor = page.nextCursor;
  } while (cursor !== null);
  return queued;
};

/**
 * Idempotent.
 * @param by who says so
 * @returns what is queued by it; null where nobody is known who offers the change @throws DatabaseError
 */
export const approveAuthor = async (
  deps: ApproveDeps,
  { change, by }: { readonly change: StoredChange; readonly by: string },
): Promise<readonly ChangeListing[] | null> => {
  const { author, host } = readOffered(change);
  if (author === null) return null;
  const { id: userId, login } = author;
  await deps.database.approvals.approveAuthor({ host, userId, login, approvedBy: by, atMs: deps.clock() });
  return letGo(deps, { host, userId });
};
