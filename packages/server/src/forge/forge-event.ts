// What a forge tells by itself, in our words: every driver's webhooks come to these. Texts in them are data from
// outside: shown escaped, never obeyed, except that a comment may hold a command.
import type { CommitSha } from '@eka-ci/core/ids';

/** Who did something. Told apart by `id`: a login can be given up and taken by somebody else. */
export interface ForgeUser {
  /** Unique in its forge. */
  readonly id: number;
  readonly login: string;
  /** False for bots, organisations, and users that were imported from elsewhere. */
  readonly isPerson: boolean;
}

export interface ForgeRepositoryId {
  /** Unique in its forge, and kept when the repository is renamed. */
  readonly id: number;
  /** `owner/repo` */
  readonly name: string;
}

export interface EventRepository extends ForgeRepositoryId {
  readonly isPrivate: boolean;
  readonly defaultBranch: string;
}

/** What somebody wants to bring into a branch, as the forge has it at the moment of the event. */
export interface OfferedChange {
  /** Unique in its repository. */
  readonly number: number;
  /** Of the repository that is asked to take it; absent where the forge does not say. */
  readonly repositoryId?: number;
  readonly title: string;
  /** Null where the account is gone. */
  readonly author: ForgeUser | null;
  readonly isDraft: boolean;
  readonly isOpen: boolean;
  readonly headSha: CommitSha;
  readonly headBranch: string;
  /** The repository that the head is in; null where a fork was deleted. */
  readonly headRepository: ForgeRepositoryId | null;
  readonly baseSha: CommitSha;
  readonly baseBranch: string;
}

export type ReviewVerdict = 'approved' | 'changes-requested' | 'commented';

/** A gate of ours that somebody pressed a button of. */
export interface PressedGate {
  /** The forge's id of it. */
  readonly gateId: number;
  readonly name: string;
  /** What we called it when we made it; null where it has none. */
  readonly externalId: string | null;
  readonly headSha: CommitSha;
}

type ChangeEvent =
  /** `isNew` is false where it was closed before. */
  | { readonly kind: 'change-opened'; readonly change: OfferedChange; readonly isNew: boolean }
  | { readonly kind: 'change-moved'; readonly change: OfferedChange }
  | { readonly kind: 'change-closed'; readonly change: OfferedChange; readonly isMerged: boolean }
  /** It became a draft, or is none any more. */
  | { readonly kind: 'change-draft'; readonly change: OfferedChange }
  | { readonly kind: 'change-base-changed'; readonly change: OfferedChange; readonly oldBaseBranch: string };

/** `ref` is the full name of the ref that holds the group, `refs/heads/…`. */
export interface MergeGroup {
  readonly ref: string;
  readonly headSha: CommitSha;
  readonly baseSha: CommitSha;
  readonly baseBranch: string;
  /** The last of the changes that it holds; null where the ref does not tell. */
  readonly changeNumber: number | null;
}

type GroupEvent =
  | { readonly kind: 'merge-group-requested'; readonly group: MergeGroup }
  | {
      readonly kind: 'merge-group-destroyed';
      readonly group: MergeGroup;
      /** invalidated: an entry before it left the queue. */
      readonly reason: 'merged' | 'dequeued' | 'invalidated' | 'unknown';
    };

type BranchEvent = {
  readonly kind: 'branch-pushed';
  readonly branch: string;
  /** Null where the push made the branch. */
  readonly before: CommitSha | null;
  /** Null where the push deleted it. */
  readonly after: CommitSha | null;
};

type TalkEvent =
  | {
      /** New, by a person, and on a change. */
      readonly kind: 'comment-created';
      readonly changeNumber: number;
      readonly commentId: number;
      readonly author: ForgeUser;
      readonly text: string;
      readonly createdAtMs: number;
    }
  | {
      readonly kind: 'review-submitted';
      readonly change: Pick<OfferedChange, 'number' | 'headSha' | 'baseBranch'>;
      readonly reviewer: ForgeUser;
      /** Unique in its forge; a later one has a larger one. */
      readonly reviewId: number;
      readonly verdict: ReviewVerdict;
      /** The commit that was looked at; null where the forge does not say. */
      readonly reviewedSha: CommitSha | null;
    }
  | {
      readonly kind: 'review-dismissed';
      readonly change: Pick<OfferedChange, 'number' | 'headSha' | 'baseBranch'>;
      /** Whose review it was. */
      readonly reviewer: ForgeUser;
      readonly reviewId: number;
    };

type GateEvent =
  | { readonly kind: 'gate-rerun'; readonly gate: PressedGate }
  /** All gates of that commit. */
  | { readonly kind: 'gates-rerun'; readonly headSha: CommitSha }
  | { readonly kind: 'gate-action'; readonly gate: PressedGate; readonly action: string };

/**
 * A run of the forge's own CI for a change from outside. A person let it go exactly where the same `runId` is first held
 * and then goes on; a run that was never held goes on too, and says nothing about anybody's approval.
 */
type OutsideRunEvent = ({ readonly kind: 'outside-run-held' } | { readonly kind: 'outside-run-goes-on' }) & {
  readonly runId: number;
  readonly headSha: CommitSha;
  readonly headRepository: ForgeRepositoryId | null;
  /** Who offered the change. */
  readonly author: ForgeUser | null;
};

type RepositoryEvent =
  | { readonly kind: 'repository-renamed' | 'repository-transferred'; readonly oldName: string }
  | { readonly kind: 'repository-deleted' }
  | { readonly kind: 'repository-visibility'; readonly isPrivate: boolean };

/** What can happen in a repository. */
export type RepositoryHappening =
  | ChangeEvent
  | GroupEvent
  | BranchEvent
  | TalkEvent
  | GateEvent
  | OutsideRunEvent
  | RepositoryEvent;

export type ForgeRepositoryEvent = RepositoryHappening & {
  readonly repository: EventRepository;
  /** Who caused it; null where the forge does not say. */
  readonly by: ForgeUser | null;
};

/** What we may reach changed. */
export type ForgeAccessEvent =
  | {
      readonly kind:
        | 'access-given'
        | 'access-ended'
        | 'access-suspended'
        | 'access-resumed'
        | 'access-rights-changed';
      /** The account whose repositories they are. */
      readonly account: string;
    }
  | {
      readonly kind: 'repositories-changed';
      readonly account: string;
      readonly added: readonly ForgeRepositoryId[];
      readonly removed: readonly ForgeRepositoryId[];
    };

/** People may do more or less than before. */
export interface RightsEvent {
  readonly kind: 'rights-changed';
  /** The account whose repositories they are. */
  readonly account: string;
  /** Null: in any of the account's. */
  readonly place: ForgeRepositoryId | null;
  /** Null: anybody's. */
  readonly userId: number | null;
}

export type ForgeEvent = ForgeRepositoryEvent | ForgeAccessEvent | RightsEvent | { readonly kind: 'ping' };
