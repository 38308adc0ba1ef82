// What somebody asks to have merged, against what the forge says of it now: whether there is anything to keep.
import type { MergeMethod } from '@eka-ci/core/comment-command';
import type { CommitSha } from '@eka-ci/core/ids';
import type { Database, NewMerge } from '../../database/database.ts';
import type { ForgeUser } from '../../forge/forge-event.ts';
import type { HostedForge } from '../../forge/hosted-forge.ts';
import type { MergeRules } from '../../forge/hosted-merging.ts';
import { hostedOf } from '../change-request.ts';
import { mayPass } from '../hosted/hosted-fault.ts';
import { findListing } from './carry-out.ts';

export interface AskedMerge {
  /** As in rows: the forge's host in front. */
  readonly repository: string;
  readonly number: number;
  /** What they have seen: nothing else is merged. */
  readonly headSha: CommitSha;
  /** Null where none was asked for. */
  readonly method: MergeMethod | null;
  readonly by: Pick<ForgeUser, 'id' | 'login'>;
  /** The comment that asks for it, where reactions and replies go; null: asked for elsewhere. */
  readonly commentId: number | null;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** That of the change whose right was checked: it is another one elsewhere. @default as it is known here now */
  readonly baseBranch?: string | null;
  /** Not before reviewers have approved every changed package. @default false */
  readonly needsReviews?: boolean;
}

export type AskedMergeAnswer =
  | { readonly kind: 'kept' }
  | { readonly kind: 'method-forbidden'; readonly allowed: readonly MergeMethod[] }
  | { readonly kind: 'not-open' }
  | { readonly kind: 'head-moved'; readonly now: CommitSha }
  /** It wants to join another branch by now. */
  | { readonly kind: 'base-changed'; readonly now: string };

export interface AdmitDeps {
  readonly database: Pick<Database, 'changes' | 'merges'>;
  readonly forges: readonly HostedForge[];
  readonly defaultMethod: MergeMethod;
}

/** Where the forge will never tell them, whoever asked hears of it when it is merged by them. @throws HostedForgeFault */
const rulesOf = async (
  forge: HostedForge,
  place: { readonly repository: string; readonly baseBranch: string },
  signal: AbortSignal,
): Promise<MergeRules> => {
  try {
    return await forge.mergeRules(place, signal);
  } catch (error) {
    if (signal.aborted || mayPass(error)) throw error;
    return { methods: null, hasQueue: false };
  }
};

/**
 * `kept`: it was asked for before, in the same comment.
 * @throws HostedForgeFault, DatabaseError; the signal's reason
 */
export const admitMerge = async (
  { database, forges, defaultMethod }: AdmitDeps,
  asked: AskedMerge,
  signal: AbortSignal,
): Promise<AskedMergeAnswer | { readonly kind: 'admitted'; readonly merge: NewMerge }> => {
  const { repository, number, headSha, method, by, commentId, atMs, needsReviews = false } = asked;
  const known = commentId === null ? null : await database.merges.findByComment(repository, commentId);
  if (known !== null) return { kind: 'kept' };
  const place = hostedOf({ hosted: forges }, repository);
  const change = place === null ? null : await place.forge.findChange(place.repository, number, signal);
  if (place === null || change === null || !change.isOpen) return { kind: 'not-open' };
  // Of a change of whoever has the name there by now, nothing was seen.
  const listing = await findListing({ database }, asked);
  const repositoryId = listing?.repositoryId ?? change.repositoryId;
  if (change.repositoryId !== undefined && change.repositoryId !== repositoryId) return { kind: 'not-open' };
  const { baseBranch } = change;
  if (!place.forge.isPermitted(place.repository, baseBranch)) return { kind: 'not-open' };
  if (change.headSha !== headSha) return { kind: 'head-moved', now: change.headSha };
  const wanted = asked.baseBranch ?? listing?.baseBranch ?? baseBranch;
  if (baseBranch !== wanted) return { kind: 'base-changed', now: baseBranch };
  const rules = await rulesOf(place.forge, { repository: place.repository, baseBranch }, signal);
  const isAllowed = rules.hasQueue || (rules.methods?.includes(method ?? defaultMethod) ?? true);
  if (!isAllowed) return { kind: 'method-forbidden', allowed: rules.methods ?? [] };
  const merge = {
    ...{ repository, number, headSha, baseBranch, method, commentId, needsReviews },
    ...{ byId: by.id, byLogin: by.login, askedAtMs: atMs },
    ...(repositoryId !== undefined && { repositoryId }),
  };
  return { kind: 'admitted', merge };
};
