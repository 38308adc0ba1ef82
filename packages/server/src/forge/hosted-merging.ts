// Part of the port to hosted forges: merging exactly what was judged, by the forge's own rules.
import type { MergeMethod } from '@eka-ci/core/comment-command';
import type { CommitSha } from '@eka-ci/core/ids';
import type { OfferedChange } from './forge-event.ts';
import type { ChangePlace } from './hosted-talk.ts';

export type MergeOutcome =
  | { readonly kind: 'merged'; readonly mergedAs: CommitSha | null }
  /** It is in its branch's merge queue. */
  | { readonly kind: 'queued' }
  /** Its head is another by now. */
  | { readonly kind: 'head-moved' }
  /** Another change was merged at that moment: ask again. */
  | { readonly kind: 'base-moved' }
  /** The forge's own rules do not let it: `says` is what it told, data from outside. */
  | { readonly kind: 'refused'; readonly says: string }
  | { readonly kind: 'gone' };

/** Of a change and the merge queue of its branch. */
export type QueueEntry =
  | Extract<MergeOutcome, { kind: 'merged' | 'queued' | 'head-moved' | 'gone' }>
  /** The queue does not have it: it never had, took it out, or let it go. */
  | { readonly kind: 'not-queued' };

export interface MergeRules {
  /** By the repository's settings; null where the forge does not tell us. */
  readonly methods: readonly MergeMethod[] | null;
  /** The branch takes changes through a merge queue alone, by the queue's own method. */
  readonly hasQueue: boolean;
}

/** Of the diff of a change: full paths, also those that it removed or renamed away. */
export interface ChangedPaths {
  /** The head that the diff is of. */
  readonly headSha: CommitSha;
  readonly paths: readonly string[];
  /** False: there are more than the forge tells. */
  readonly isComplete: boolean;
}

/** What a merge queue made of changes: a commit on a branch of its own, which is merged as it is or not at all. */
export interface QueuedGroup {
  readonly headSha: CommitSha;
  /** Its parent: the tip of the branch that it joins, or the group before it in the queue. */
  readonly baseSha: CommitSha;
  readonly baseBranch: string;
  /** Whose commits it holds and its branch does not: its own change, and those of the groups that it stands on. */
  readonly members: readonly Pick<OfferedChange, 'number' | 'headSha' | 'author'>[];
}

/** All methods that ask the forge reject with HostedForgeFault, where nobody can tell what became of it: ask again. */
export interface HostedMerging {
  mergeRules(
    place: Pick<ChangePlace, 'repository'> & { readonly baseBranch: string },
    signal: AbortSignal,
  ): Promise<MergeRules>;
  /** Idempotent: what is merged already is `merged`. Never any other head than this. */
  merge(
    place: ChangePlace,
    what: { readonly headSha: CommitSha; readonly method: MergeMethod },
    signal: AbortSignal,
  ): Promise<MergeOutcome>;
  /** Idempotent: what is in the queue already is `queued`. */
  enqueue(
    place: ChangePlace,
    what: { readonly headSha: CommitSha },
    signal: AbortSignal,
  ): Promise<MergeOutcome>;
  /** How it is now. */
  findInQueue(
    place: ChangePlace,
    what: { readonly headSha: CommitSha },
    signal: AbortSignal,
  ): Promise<QueueEntry>;
  /** Takes it out, unless it has another head by now. Idempotent. `queued`: the queue does not let it go. */
  dequeue(
    place: ChangePlace,
    what: { readonly headSha: CommitSha },
    signal: AbortSignal,
  ): Promise<QueueEntry>;
  /** Whether it is a merge queue that makes branches of such a name; asks nobody. */
  isGroupBranch(branch: string): boolean;
  /** Null where no queue has that commit for that branch. */
  findGroup(
    place: { readonly repository: string; readonly branch: string },
    headSha: CommitSha,
    signal: AbortSignal,
  ): Promise<QueuedGroup | null>;
  /** Null where there is no such change. */
  changedPaths(place: ChangePlace, signal: AbortSignal): Promise<ChangedPaths | null>;
}
