// What is to be done for a merge that was asked for, by what is known here of its change. Pure.
import type { ChangeListing, StoredMerge } from '../../database/database.ts';

export type MergeStep =
  /** Nothing yet: what happens next wakes the desk. */
  | { readonly kind: 'wait' }
  /** It was judged, and nothing newly fails. */
  | { readonly kind: 'merge' }
  /** The forge's own queue has it, as far as is known here: it merges it, or takes it out again. */
  | { readonly kind: 'look-in-queue' }
  /** What is known here is not what was asked for: the forge knows better. */
  | { readonly kind: 'look' };

/**
 * Only `success` merges, and that no change is whose checks did not all pass. `neutral` is what nobody can call good: something was not built, or is not known of the base, or
 * a job was taken away; it may become a success by being judged again.
 * @param change the newest row of its number; null where there is none
 */
export const chooseStep = (
  merge: Pick<StoredMerge, 'headSha' | 'baseBranch' | 'state'>,
  change: Pick<ChangeListing, 'head' | 'baseBranch' | 'state' | 'conclusion'> | null,
): MergeStep => {
  if (change === null || change.head !== merge.headSha || change.baseBranch !== merge.baseBranch) {
    return { kind: 'look' };
  }
  switch (change.state) {
    case 'closed':
    case 'superseded':
      return { kind: 'look' };
    case 'awaiting-approval':
    case 'queued':
    case 'judging':
    case 'failed':
      return { kind: merge.state === 'queued' ? 'look-in-queue' : 'wait' };
    case 'judged':
      if (merge.state === 'queued') return { kind: 'look-in-queue' };
      return { kind: change.conclusion === 'success' ? 'merge' : 'wait' };
  }
};
