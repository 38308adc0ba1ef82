// The port's changes: what is to be judged, who judges it, and what it came to. Part of database.ts.
import type { AskedOfBuilder, Hindrances } from '@eka-ci/core/hindrances';
import type { CommitSha, DrvPath, TreeSha } from '@eka-ci/core/ids';
import type { NewPublication } from './publications.ts';

/**
 * queued → judging → judged (it has a conclusion), or failed (it has a fault). awaiting-approval, before queued: somebody
 * must let it go, for it comes from outside. superseded: its branch has a newer head; closed: its branch is gone. What was
 * concluded before that stays readable.
 */
export type ChangeState =
  | 'awaiting-approval'
  | 'queued'
  | 'judging'
  | 'judged'
  | 'failed'
  | 'superseded'
  | 'closed';

/**
 * branch: a branch of a served repository that wants to join its base. baseline: a base branch itself, judged against
 * where it was. submitted: somebody asked for it by hand. offered: what a hosted forge has to be joined into a branch.
 * group: what a forge's merge queue made of such, judged as it is against the commit that it stands on.
 */
export type ChangeKind = 'branch' | 'baseline' | 'submitted' | 'offered' | 'group';

/** One head of one branch to be judged. */
export interface ChangeListing {
  /** The caller's choice; unique. */
  readonly id: string;
  readonly kind: ChangeKind;
  /**
   * The configured name (`owner/repo`), of a hosted forge with the forge's host in front; or clone address or path as the
   * user named it; never with credentials.
   */
  readonly repository: string;
  /** The forge's number of it, which it keeps under whatever name; absent where none is known. */
  readonly repositoryId?: number;
  /** From 1 in each repository; the same for all heads of one branch, for ever. A baseline and a group have 0; an offered one, the forge's. */
  readonly number: number;
  /** Of a submitted one the head's revision, as it was asked for. Of an offered one `pull/` and its number. A group has one of its own. */
  readonly branch: string;
  /** What an offered one or a group is to be joined into; null for others. */
  readonly baseBranch: string | null;
  /** Null: it is judged against nothing, as if everything in it were new. */
  readonly base: CommitSha | null;
  readonly head: CommitSha;
  /** Null where there is none: the merge conflicts, or it was not tried yet. */
  readonly judgedTree: TreeSha | null;
  readonly title: string;
  readonly state: ChangeState;
  /** Milliseconds since 1970. */
  readonly createdAtMs: number;
  /** Milliseconds since 1970: when the state last changed. */
  readonly updatedAtMs: number;
  /** Null while it is being judged. */
  readonly conclusion: string | null;
  /**
   * Why it could not be judged, for people: `CODE: what to do`. Null unless it failed, or waits to be tried again
   * after such a fault.
   */
  readonly fault: string | null;
  /** Faults in a row, each of which was worth another try. */
  readonly faults: number;
  /** Milliseconds since 1970: it is not tried again before; null where nothing was tried yet. */
  readonly retryAtMs: number | null;
  /** Somebody with the right to do so let it go, from wherever it comes and however much it takes. */
  readonly approved: boolean;
}

export interface StoredChange extends ChangeListing {
  /** The change summary as JSON text; parsed by whoever knows its schema. Null while there is none. */
  readonly summaryJson: string | null;
  /** The same as a forge shows it. */
  readonly markdown: string | null;
  /** What was submitted, offered or put into a queue, as JSON text; parsed by whoever knows its schema. Null for branches. */
  readonly requestJson: string | null;
}

/** What somebody asked for by hand; its revisions are resolved already. */
export interface NewSubmission {
  readonly id: string;
  readonly repository: string;
  readonly branch: string;
  readonly base: CommitSha | null;
  readonly head: CommitSha;
  readonly title: string;
  readonly requestJson: string;
  readonly atMs: number;
}

export interface ChangePage {
  readonly changes: readonly ChangeListing[];
  /** Null on the last page. Opaque; good for ever, also when changes are added meanwhile. */
  readonly nextCursor: string | null;
}

export interface ChangeQuery {
  readonly repository?: string;
  readonly branch?: string;
  /** @default ['branch', 'offered'] */
  readonly kinds?: readonly ChangeKind[];
  /** All states where absent. Without `superseded` each number appears once. */
  readonly states?: readonly ChangeState[];
  /** Repositories whose changes are left out. @default [] */
  readonly notOf?: readonly string[];
  /** `nextCursor` of the page before. */
  readonly cursor?: string;
  /** From 1 to 1000. */
  readonly limit: number;
}

/** What was learnt about one branch of a repository, or about what a hosted forge offers or has in a merge queue. */
export type BranchUpdate = LearntUpdate & {
  /** The forge's number of the repository that was looked at: where that has another name by now, nothing is written. */
  readonly repositoryId?: number;
};

type LearntUpdate =
  | {
      readonly kind: 'head-moved';
      readonly repository: string;
      readonly branch: string;
      readonly base: CommitSha;
      readonly head: CommitSha;
      readonly title: string;
      /** For the row, where one is made. */
      readonly newId: string;
    }
  /** base-gone: of a base branch, whose baselines end. */
  | {
      readonly kind: 'branch-gone' | 'base-gone';
      readonly repository: string;
      readonly branch: string;
    }
  | {
      /** The tip of a base branch: a baseline, which supersedes the branch's older ones. */
      readonly kind: 'base-moved';
      readonly repository: string;
      readonly branch: string;
      /** Null: it was never seen before. */
      readonly base: CommitSha | null;
      readonly head: CommitSha;
      readonly title: string;
      readonly newId: string;
    }
  | {
      /**
       * As the forge has it now. Its head's trial merge into another base branch is another judgement: nothing is queued
       * only where its newest row is open and has both, and what else was told is then kept there.
       */
      readonly kind: 'offer-moved';
      readonly repository: string;
      readonly number: number;
      readonly branch: string;
      readonly baseBranch: string;
      readonly base: CommitSha;
      readonly head: CommitSha;
      readonly title: string;
      readonly requestJson: string;
      readonly newId: string;
      /**
       * True: its author may have nothing evaluated here. It waits, unless this head was approved before; false lets go
       * what waits.
       */
      readonly awaitsApproval: boolean;
    }
  | { readonly kind: 'offer-closed'; readonly repository: string; readonly number: number }
  | {
      /** Supersedes what was on the same branch before. */
      readonly kind: 'group-made';
      readonly repository: string;
      readonly branch: string;
      readonly baseBranch: string;
      readonly base: CommitSha;
      readonly head: CommitSha;
      readonly title: string;
      readonly requestJson: string;
      readonly newId: string;
      /** As of what is offered. */
      readonly awaitsApproval: boolean;
    }
  | { readonly kind: 'group-gone'; readonly repository: string; readonly branch: string };

/** A delivery's effect. */
export interface DeliveredUpdate {
  /** Of a stored delivery; it is done when the update is. */
  readonly deliveryKey: string;
  readonly update: BranchUpdate;
}

export interface AppliedUpdate {
  /** The change that was queued; null where there was nothing new. */
  readonly queued: ChangeListing | null;
  /** The change that waits for approval since now; null where there is none. */
  readonly awaiting: ChangeListing | null;
  /** Ids of what waited, or was being judged, and is not wanted any more. */
  readonly ended: readonly string[];
  /** True: its repository has another name by now. The delivery is done, and nothing came of it. */
  readonly isOfAnother?: true;
}

export interface Lease {
  readonly id: string;
  /** A server's own name; the same after its restart. */
  readonly owner: string;
}

export interface ChangeClaim {
  readonly owner: string;
  readonly nowMs: number;
  /** When others may take it over, unless it is renewed. */
  readonly untilMs: number;
  /** Repositories whose changes must wait. @default [] */
  readonly notOf?: readonly string[];
  /** Only these. @default all */
  readonly kinds?: readonly ChangeKind[];
}

/** What judging came to. */
export type ChangeResult =
  | {
      readonly state: 'judged';
      readonly base: CommitSha | null;
      readonly judgedTree: TreeSha;
      readonly title: string;
      readonly conclusion: string;
      readonly summaryJson: string;
      readonly markdown: string;
      /** @default nothing */
      readonly hindrances?: Hindrances;
      /**
       * Handed on in the same transaction, however often it is judged: none of it is ever there without the verdict, and no
       * verdict without it. @default nothing
       */
      readonly publications?: readonly NewPublication[];
    }
  | { readonly state: 'failed'; readonly conclusion: string; readonly fault: string };

/** Whose failures are not to be believed any more. */
export interface FailuresToClear {
  /** These, or what they failed by; `all`: whatever failed. */
  readonly drvs: 'all' | readonly DrvPath[];
  /** Also what this change showed when it was judged last. */
  readonly failuresOf?: string;
  /** Is judged again, of whatever kind it is and whatever is cleared. */
  readonly askedOf?: string;
  readonly atMs: number;
}

export interface ClearedFailures {
  /** Derivations that will be tried again, and were not to be before; what failed by them included. */
  readonly cleared: number;
  /** What is judged again, by this call or anyway. Oldest first. */
  readonly changes: readonly ChangeListing[];
}

/** A change of which no builder offered something. */
export interface UnsatisfiableChange {
  readonly id: string;
  readonly asked: readonly AskedOfBuilder[];
}

export interface Changes {
  /** Inserts, or replaces the one with that id; for imports and tests. A lease on it ends. */
  save(change: StoredChange): Promise<void>;
  find(id: string): Promise<StoredChange | null>;
  /** The newest head of that number. */
  findByNumber(repository: string, number: number): Promise<StoredChange | null>;
  /** Of all repositories and branches, newest first; a head that came back is there twice. */
  findByHead(sha: CommitSha): Promise<readonly ChangeListing[]>;
  /**
   * Newest first, without summaries.
   * @throws DatabaseError DATABASE_BAD_CURSOR when the cursor is none of ours
   */
  list(query: ChangeQuery): Promise<ChangePage>;
  /**
   * In the given order, in one transaction with their deliveries: an update whose delivery is done already, and a head
   * that is its branch's current one, change nothing. A new head supersedes all before it.
   */
  apply(updates: readonly DeliveredUpdate[], atMs: number): Promise<readonly AppliedUpdate[]>;
  /**
   * The first queued change that need not wait for another try, or one whose lease ran out, now `judging` under this
   * owner's lease; else null. Groups come before everything else, baselines after it.
   */
  claimNext(claim: ChangeClaim): Promise<StoredChange | null>;
  /** False: the lease is lost (superseded, closed, taken over); stop the work. */
  renew(lease: Lease, untilMs: number): Promise<boolean>;
  /** Queued again, in its old place. False: the lease was lost, nothing happened. */
  release(lease: Lease, atMs: number): Promise<boolean>;
  /** Releases all that this owner held when it died. @returns how many */
  releaseAll(owner: string, atMs: number): Promise<number>;
  /**
   * Keeps the result and ends the lease; queued again at once where what hinders it went away meanwhile: it was approved,
   * a failure was cleared, the offer of builders has changed. False: the lease was lost, nothing was kept.
   */
  finish(lease: Lease, result: ChangeResult, atMs: number): Promise<boolean>;
  /** Queued again after a fault that may pass, not to be claimed before `retryAtMs`. False: the lease was lost. */
  retryLater(
    lease: Lease,
    retry: { readonly fault: string; readonly retryAtMs: number; readonly atMs: number },
  ): Promise<boolean>;
  /** Idempotent by id: what was submitted before is given back as it is now. */
  submit(submission: NewSubmission): Promise<{ readonly change: ChangeListing; readonly isNew: boolean }>;
  /**
   * Queued or judging → failed, with the conclusion `cancelled`.
   * @returns the change as it is now, and whether this ended it; null for an unknown id
   */
  cancel(
    id: string,
    atMs: number,
  ): Promise<{ readonly change: ChangeListing; readonly ended: boolean } | null>;
  /**
   * Judged or failed → queued, at the end of the queue; what was concluded before stays readable until the new end. One
   * that is queued or being judged stays so, and is approved where that is asked for; as one that awaits approval is,
   * which is queued by it.
   * @returns null where nothing changed: it is in another state, or unknown
   */
  requeue(
    id: string,
    again: { readonly atMs: number; readonly base?: CommitSha; readonly approved?: true },
  ): Promise<ChangeListing | null>;
  /**
   * Has failures tried again, and the open changes that showed them judged again; in one transaction. What is judged by
   * then is queued by its end where it still shows one. Idempotent until they are tried.
   */
  clearFailures(which: FailuresToClear): Promise<ClearedFailures>;
  /**
   * The offer of builders has changed: the judged branches and baselines for which something was missing, oldest first.
   * What is being judged is queued again by its end where something is missing then.
   */
  offerChanged(): Promise<readonly UnsatisfiableChange[]>;
  /**
   * Removes superseded and closed changes, and baselines and submissions that are at rest, last touched before. The
   * newest row of each number stays, so that numbers are never given twice, but for groups, which have none.
   * @returns how many
   */
  forget(beforeMs: number): Promise<number>;
}
