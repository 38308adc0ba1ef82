// Lets one head go: it may be evaluated and built, from wherever it comes and however much it takes.
import type { ChangeListing, Database } from '../../database/database.ts';

export type Approved =
  /** It is queued, or judged so that it need not wait. */
  | { readonly kind: 'approved'; readonly change: ChangeListing }
  /** It was approved before, and nothing waits for that. */
  | { readonly kind: 'was-approved' }
  /** Nobody wants it any more. */
  | { readonly kind: 'ended' }
  /** Somebody was faster: look at it again. */
  | { readonly kind: 'moved' };

/** Idempotent. @throws DatabaseError */
export const approveChange = async (
  { database, clock }: { readonly database: Pick<Database, 'changes'>; readonly clock: () => number },
  { id, state, conclusion, approved }: ChangeListing,
): Promise<Approved> => {
  if (state === 'superseded' || state === 'closed') return { kind: 'ended' };
  const isAtRest = state === 'judged' || state === 'failed';
  const isSettled = state === 'judged' && conclusion !== 'action-required';
  if (approved && (isSettled || !isAtRest)) return { kind: 'was-approved' };
  // Where it is not at rest it is not known whether it waits for this: if its judgement finds so, it is judged again.
  const change = await database.changes.requeue(id, { atMs: clock(), approved: true });
  return change === null ? { kind: 'moved' } : { kind: 'approved', change };
};
