// The port's merges: what somebody asked to have merged, and what reviewers said. Part of database.ts.
import type { MergeMethod } from '@eka-ci/core/comment-command';
import type { CommitSha } from '@eka-ci/core/ids';

/**
 * pending → merging (the forge is being asked: what became of it is not known) → merged, queued (the forge's own queue has
 * it), or refused. moved: the change has another head. replaced: by a later one. closed: it ended without us.
 */
export type MergeState =
  | 'pending'
  | 'merging'
  | 'queued'
  | 'merged'
  | 'withdrawn'
  | 'refused'
  | 'moved'
  | 'replaced'
  | 'closed';

/** Nothing is settled yet: one at most of each change. */
export const openMergeStates = ['pending', 'merging', 'queued'] as const satisfies readonly MergeState[];
export type EndedMergeState = Exclude<MergeState, (typeof openMergeStates)[number]>;

/** What whoever asked is to be told; null: nothing. */
export interface MergeTelling {
  readonly reaction: 'merged' | 'withdrawn' | 'denied' | null;
  /** Markdown. */
  readonly reply: string | null;
}

export interface NewMerge {
  /** The forge's host in front. */
  readonly repository: string;
  /** The forge's number of it, by which it comes under the name of now. @default as it is named */
  readonly repositoryId?: number;
  readonly number: number;
  readonly headSha: CommitSha;
  /** What it joins, and nothing else. */
  readonly baseBranch: string;
  /** Null where none was asked for. */
  readonly method: MergeMethod | null;
  readonly byId: number;
  readonly byLogin: string;
  /** Null: it was not asked for in a comment. */
  readonly commentId: number | null;
  /** Not before reviewers have approved every changed package. */
  readonly needsReviews: boolean;
  /** Milliseconds since 1970. */
  readonly askedAtMs: number;
}

export interface StoredMerge extends NewMerge {
  /** In the order in which they were asked for. */
  readonly id: number;
  readonly state: MergeState;
  /** Faults in a row, each of which was worth another try. */
  readonly attempts: number;
  /** Milliseconds since 1970: it is not tried again before; 0: at once. */
  readonly nextAtMs: number;
  /** For people; null after a try that did not fail. */
  readonly fault: string | null;
  /** Null while it is open. */
  readonly telling: MergeTelling | null;
  /** Nothing of `telling` is left to be told. */
  readonly isTold: boolean;
  /** Milliseconds since 1970. */
  readonly updatedAtMs: number;
}

export interface Merges {
  /**
   * Idempotent by repository and comment: what was asked before is given back as it is now. Replaces what is open of that
   * change; where that was `merging` the same head, so is the new one.
   */
  ask(merge: NewMerge): Promise<StoredMerge>;
  /** What is open, or not told yet; oldest first. */
  unfinished(): Promise<readonly StoredMerge[]>;
  find(id: number): Promise<StoredMerge | null>;
  findByComment(repository: string, commentId: number): Promise<StoredMerge | null>;
  /** Null where none is. */
  findOpen(repository: string, number: number): Promise<StoredMerge | null>;
  /** Of that change, the last that was asked for, whatever became of it. */
  newestOf(repository: string, number: number): Promise<StoredMerge | null>;
  /** Between open states. False: it is not open any more. */
  step(id: number, state: 'pending' | 'merging' | 'queued', atMs: number): Promise<boolean>;
  /** Open → ended. False: it was not open any more, nothing happened. */
  end(
    id: number,
    ending: { readonly state: EndedMergeState; readonly telling: MergeTelling; readonly atMs: number },
  ): Promise<boolean>;
  /** It is tried again then; nothing where it is finished. A `fault` of null: it only waits. */
  putOff(
    id: number,
    why: { readonly fault: string | null; readonly nextAtMs: number; readonly atMs: number },
  ): Promise<void>;
  /** Idempotent. */
  told(id: number, atMs: number): Promise<void>;
  /** Finished ones, and reviews, last touched before. @returns how many merges */
  forget(beforeMs: number): Promise<number>;
}

export type KeptVerdict = 'approved' | 'changes-requested';

type ReviewKey = 'repository' | 'number' | 'reviewerId';

/** The last word of one reviewer on one change. */
export interface StoredReview {
  /** The forge's host in front. */
  readonly repository: string;
  /** As of a new merge. */
  readonly repositoryId?: number;
  readonly number: number;
  readonly reviewerId: number;
  readonly reviewerLogin: string;
  /** The forge's; a later one has a larger one. */
  readonly reviewId: number;
  readonly verdict: KeptVerdict;
  /** What was looked at; null where the forge did not say. */
  readonly reviewedSha: CommitSha | null;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

export interface Reviews {
  /** Idempotent. That reviewer's last word on that change, unless a later one was kept, or this one was dismissed. */
  save(review: StoredReview): Promise<void>;
  /** Idempotent, also before it was saved. It brings back no earlier one. */
  dismiss(
    of: Pick<StoredReview, ReviewKey | 'repositoryId' | 'reviewerLogin' | 'reviewId' | 'atMs'>,
  ): Promise<void>;
  /** By reviewer; without those that were dismissed. */
  of(repository: string, number: number): Promise<readonly StoredReview[]>;
}
