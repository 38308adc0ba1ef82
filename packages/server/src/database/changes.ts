// The port's changes: what is to be judged, who judges it, and what it came to. Part of database.ts.
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';

/**
 * queued → judging → judged (it has a conclusion), or failed (it has a fault). superseded: its branch has a newer head;
 * closed: its branch is gone. What was concluded before that stays readable.
 */
export type ChangeState = 'queued' | 'judging' | 'judged' | 'failed' | 'superseded' | 'closed';

/** One head of one branch to be judged. */
export interface ChangeListing {
  /** The caller's choice; unique. */
  readonly id: string;
  /** The configured name (`owner/repo`), or clone address or path as the user named it; never with credentials. */
  readonly repository: string;
  /** From 1 in each repository; the same for all heads of one branch, for ever. */
  readonly number: number;
  readonly branch: string;
  readonly base: CommitSha;
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
  /** Why it could not be judged, for people: `CODE: what to do`. Null unless it failed. */
  readonly fault: string | null;
}

export interface StoredChange extends ChangeListing {
  /** The change summary as JSON text; parsed by whoever knows its schema. Null while there is none. */
  readonly summaryJson: string | null;
  /** The same as a forge shows it. */
  readonly markdown: string | null;
}

export interface ChangePage {
  readonly changes: readonly ChangeListing[];
  /** Null on the last page. Opaque; good for ever, also when changes are added meanwhile. */
  readonly nextCursor: string | null;
}

export interface ChangeQuery {
  readonly repository?: string;
  /** All states where absent. Without `superseded` each number appears once. */
  readonly states?: readonly ChangeState[];
  /** `nextCursor` of the page before. */
  readonly cursor?: string;
  /** From 1 to 1000. */
  readonly limit: number;
}

/** What was learnt about one branch of a repository. */
export type BranchUpdate =
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
  | { readonly kind: 'branch-gone'; readonly repository: string; readonly branch: string };

/** A delivery's effect. */
export interface DeliveredUpdate {
  /** Of a stored delivery; it is done when the update is. */
  readonly deliveryKey: string;
  readonly update: BranchUpdate;
}

export interface AppliedUpdate {
  /** The change that was queued; null where there was nothing new. */
  readonly queued: ChangeListing | null;
  /** Ids of what was queued or being judged, and is not wanted any more. */
  readonly ended: readonly string[];
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
}

/** What judging came to. */
export type ChangeResult =
  | {
      readonly state: 'judged';
      readonly base: CommitSha;
      readonly judgedTree: TreeSha;
      readonly title: string;
      readonly conclusion: string;
      readonly summaryJson: string;
      readonly markdown: string;
    }
  | { readonly state: 'failed'; readonly conclusion: string; readonly fault: string };

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
  /** The first queued change, or one whose lease ran out, now `judging` under this owner's lease; else null. */
  claimNext(claim: ChangeClaim): Promise<StoredChange | null>;
  /** False: the lease is lost (superseded, closed, taken over); stop the work. */
  renew(lease: Lease, untilMs: number): Promise<boolean>;
  /** Queued again, in its old place. False: the lease was lost, nothing happened. */
  release(lease: Lease, atMs: number): Promise<boolean>;
  /** Releases all that this owner held when it died. @returns how many */
  releaseAll(owner: string, atMs: number): Promise<number>;
  /** Keeps the result and ends the lease. False: the lease was lost, nothing was kept. */
  finish(lease: Lease, result: ChangeResult, atMs: number): Promise<boolean>;
}
