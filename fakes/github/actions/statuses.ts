// Commit statuses, by GitHub's rules.
import { readCommit } from '../git/commits.ts';
import { resolveCommit } from '../git/repository-folder.ts';
import { renderStatus } from '../render/checks.ts';
import { renderCommit } from '../render/commit.ts';
import { repositoryApiUrl } from '../render/repository.ts';
import type { Account, CommitStatus, Repository } from '../state/entities.ts';
import { fullNameOf } from '../state/lookup.ts';
import { invalidField, Refusal } from '../state/refusal.ts';
import type { World } from '../state/world.ts';

/** A commit keeps so many of one context. */
const maxStatusesOfContext = 1000;

export const createStatus = async (
  world: World,
  given: {
    readonly repository: Repository;
    readonly creator: Account;
    readonly sha: string;
    readonly state: string;
    readonly context: string;
    readonly description: string | null;
    readonly targetUrl: string | null;
  },
): Promise<CommitStatus> => {
  const { repository, creator, ...rest } = given;
  if ((await resolveCommit(world.git, repository.folder, given.sha)) !== given.sha)
    throw new Refusal(422, `No commit found for SHA: ${given.sha}`);
  const before = [...world.statuses.values()].filter(
    (one) => one.repositoryId === repository.id && one.sha === given.sha && one.context === given.context,
  );
  if (before.length >= maxStatusesOfContext)
    throw new Refusal(422, 'Validation Failed', {
      errors: [
        {
          resource: 'Status',
          code: 'custom',
          message: 'This SHA and context has reached the maximum number of statuses.',
        },
      ],
    });
  if ((given.description?.length ?? 0) > 140)
    throw invalidField('Status', 'description', 'description is too long (maximum is 140 characters)');
  const status: CommitStatus = {
    ...rest,
    id: world.nextId(),
    repositoryId: repository.id,
    creatorId: creator.id,
    createdAtMs: world.clock.now(),
  };
  world.statuses.set(status.id, status);
  await tellStatus(world, repository, { status, creator });
  return status;
};

const tellStatus = async (
  world: World,
  repository: Repository,
  { status, creator }: { readonly status: CommitStatus; readonly creator: Account },
): Promise<void> => {
  const api = repositoryApiUrl(world, repository);
  const rendered = renderStatus(world, status);
  const commit = await readCommit(world.git, repository.folder, status.sha);
  const branches = [...repository.branches]
    .filter(([, sha]) => sha === status.sha)
    .map(([name, sha]) => ({
      name,
      commit: { sha, url: `${api}/commits/${sha}` },
      protected: repository.protections.has(name),
    }));
  world.publish({
    event: 'status',
    action: null,
    sender: creator,
    repository,
    body: {
      id: status.id,
      sha: status.sha,
      name: fullNameOf(world, repository),
      avatar_url: rendered['avatar_url'] ?? null,
      target_url: status.targetUrl,
      context: status.context,
      description: status.description,
      state: status.state,
      commit: renderCommit(world, repository, commit),
      branches,
      created_at: rendered['created_at'] ?? '',
      updated_at: rendered['updated_at'] ?? '',
    },
  });
};
