// Where a judged change is, in the words of permissions. Only what its forge says is on a branch is on that branch.
import { unmergedBranch } from '../../config/permissions.ts';
import type { ChangeListing } from '../../database/database.ts';
import type { HostedForge } from '../../forge/hosted-forge.ts';
import { hostedOf } from '../change-request.ts';
import type { PublishingPlace } from './publication.ts';

type Placed = Pick<ChangeListing, 'kind' | 'repository' | 'number' | 'branch'>;

/** What the forge calls it, without its host. */
const repositoryOf = (forges: readonly HostedForge[], { repository }: Placed): string =>
  hostedOf({ hosted: forges }, repository)?.repository ?? repository;

/**
 * Whatever the branches are called that a change comes from: they are names that its author chose.
 * @returns null for what somebody asked for by hand: nobody says where that belongs, and nothing of it is published
 */
export const placeOf = (forges: readonly HostedForge[], change: Placed): PublishingPlace | null => {
  const repository = repositoryOf(forges, change);
  switch (change.kind) {
    case 'baseline':
      return { repository, branch: change.branch, isOnBranch: true };
    case 'branch':
    case 'offered':
      return { repository, branch: unmergedBranch(change.number), isOnBranch: false };
    case 'group':
      return { repository, branch: unmergedBranch('merge-queue'), isOnBranch: false };
    case 'submitted':
      return null;
  }
};
