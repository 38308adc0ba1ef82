// Part of the port to hosted forges: people, what they may do, and what we answer them.
import type { CommitSha } from '@eka-ci/core/ids';
import type { ForgeUser } from './forge-event.ts';

/** What somebody may do in a repository; whoever is allowed one may do all that stand before it. */
export type ForgeRight = 'none' | 'read' | 'write' | 'admin';

export const mayRead = (right: ForgeRight): boolean => right !== 'none';

export const mayWrite = (right: ForgeRight): boolean => right === 'write' || right === 'admin';

/** withdrawn: what was asked for is not wanted any more. unclear: we do not know what they mean. */
export type Reaction = 'accepted' | 'denied' | 'merged' | 'withdrawn' | 'unclear';

/** A change, as whoever speaks about it on the forge names it. */
export interface ChangePlace {
  /** `owner/repo` */
  readonly repository: string;
  readonly number: number;
  /** The branch that it wants to join, by which the app is chosen; null where it is not known. */
  readonly baseBranch: string | null;
}

export interface OwnComment {
  /** Tells it apart from our others on the change: letters, digits and `_.:-`, at most 200. */
  readonly key: string;
  /** Markdown, of any length. */
  readonly text: string;
  /** No earlier than this was it made first, in milliseconds since 1970: what is older need not be searched. */
  readonly sinceMs: number;
}

/** All methods reject with HostedForgeFault. */
export interface HostedTalk {
  /** As of now; none also where the forge does not know them, or knows somebody else by that login. */
  rightOf(
    repository: string,
    user: Pick<ForgeUser, 'id' | 'login'>,
    signal: AbortSignal,
  ): Promise<ForgeRight>;
  /** Idempotent. False where the comment is gone. */
  react(
    place: ChangePlace,
    to: { readonly commentId: number; readonly reaction: Reaction },
    signal: AbortSignal,
  ): Promise<boolean>;
  /** Idempotent: afterwards the change has one comment of this key, with this text. @returns the forge's id of it */
  putComment(
    place: ChangePlace,
    comment: OwnComment,
    known: { readonly id: number | null; readonly signal: AbortSignal },
  ): Promise<number>;
  /** The committer's date, in milliseconds since 1970: what the commit says of itself. Null where nobody tells. */
  committedAt(repository: string, sha: CommitSha, signal: AbortSignal): Promise<number | null>;
}
