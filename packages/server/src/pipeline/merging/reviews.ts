// What reviewers say of a change, and whether that is enough for a merge that waits for it.
import type { ChangeListing, Database, StoredReview } from '../../database/database.ts';
import type { ForgeRepositoryEvent } from '../../forge/forge-event.ts';
import { type HostedForge, hostedName } from '../../forge/hosted-forge.ts';
import type { Acts } from '../hosted/act.ts';
import type { ChangeRights } from '../people/change-rights.ts';

export type ReviewEvent = Extract<ForgeRepositoryEvent, { kind: 'review-submitted' | 'review-dismissed' }>;

export interface NoteReviewDeps {
  readonly database: Pick<Database, 'reviews'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** A merge may wait for it. */
  readonly wake: () => void;
}

/** Idempotent, in whatever order they come. A remark changes nothing of what they said before. @throws DatabaseError */
export const noteReview = async (
  { database, clock, wake }: NoteReviewDeps,
  event: ReviewEvent,
  { host }: Pick<HostedForge, 'host'>,
): Promise<void> => {
  const { change, reviewer, repository, reviewId } = event;
  const of = {
    repository: hostedName(host, repository.name),
    ...(repository.id !== 0 && { repositoryId: repository.id }),
    number: change.number,
    reviewerId: reviewer.id,
    reviewerLogin: reviewer.login,
    reviewId,
    atMs: clock(),
  };
  if (event.kind === 'review-dismissed') return database.reviews.dismiss(of);
  if (event.verdict === 'commented') return;
  const { verdict, reviewedSha } = event;
  await database.reviews.save({ ...of, verdict, reviewedSha });
  wake();
};

/** Who approves exactly this head: what they have not seen they have not approved. */
const approversOf = (reviews: readonly StoredReview[], { head }: Pick<ChangeListing, 'head'>): number[] =>
  reviews
    .filter(({ verdict, reviewedSha }) => verdict === 'approved' && reviewedSha === head)
    .map(({ reviewerId }) => reviewerId);

/**
 * Changed packages of which no maintainer has approved this head.
 * @returns null where nobody knows all packages @throws DatabaseError
 */
export const packagesUnapproved = async (
  {
    database,
    rights,
  }: { readonly database: Pick<Database, 'reviews'>; readonly rights: Pick<ChangeRights, 'packagesWithout'> },
  change: ChangeListing,
): Promise<readonly string[] | null> => {
  const reviews = await database.reviews.of(change.repository, change.number);
  return rights.packagesWithout(change, approversOf(reviews, change));
};

/** Notes what reviewers say, and then lets those act who did before. */
export const withReviews = (acts: Acts, deps: NoteReviewDeps): Acts => ({
  ...acts,
  'review-submitted': async (event, context) => {
    await noteReview(deps, event, context.forge);
    const outcome = await acts['review-submitted']?.(event, context);
    return outcome === 'applied' ? outcome : 'noted';
  },
  'review-dismissed': async (event, context) => {
    await noteReview(deps, event, context.forge);
    const outcome = await acts['review-dismissed']?.(event, context);
    return outcome === 'applied' ? outcome : 'noted';
  },
});
