// Whether a pull request may be merged, and what is in the way.
import type { Mergeability } from '../render/pull.ts';
import type { Pull, Repository } from '../state/entities.ts';
import {
  isAtLeast,
  latestRuns,
  protectionOf,
  reviewsOf,
  roleOf,
  runsOfSuite,
  suitesOf,
} from '../state/lookup.ts';
import { mustGet, type World } from '../state/world.ts';

const good = new Set(['success', 'neutral', 'skipped']);

type CheckState = 'good' | 'bad' | 'open';

interface NamedState {
  readonly name: string;
  readonly appId: number | null;
  readonly state: CheckState;
}

/** The newest of each check run and status of a commit. */
const statesOf = (world: World, repository: Repository, sha: string): NamedState[] => {
  const runs = latestRuns(suitesOf(world, repository, sha).flatMap((suite) => runsOfSuite(world, suite)));
  const statuses = [...world.statuses.values()].filter(
    (status) => status.repositoryId === repository.id && status.sha === sha,
  );
  const newest = new Map(statuses.map((status) => [status.context, status]));
  return [
    ...runs.map(({ name, appId, status, conclusion }): NamedState => {
      const ended = status === 'completed';
      return { name, appId, state: !ended ? 'open' : good.has(conclusion ?? '') ? 'good' : 'bad' };
    }),
    ...[...newest.values()].map(({ context, state }): NamedState => {
      const ended = state === 'pending' ? 'open' : state === 'success' ? 'good' : 'bad';
      return { name: context, appId: null, state: ended };
    }),
  ];
};

/** What the checks that a branch requires come to on a commit, with the name of one that is in the way. */
export const judgeRequiredChecks = (
  world: World,
  repository: Repository,
  { branch, sha }: { readonly branch: string; readonly sha: string },
): { readonly state: CheckState; readonly name: string } => {
  const states = statesOf(world, repository, sha);
  const required = protectionOf(repository, branch)?.requiredChecks ?? [];
  const found = required.map(({ context, appId }) => {
    const matching = states.filter((one) => one.name === context && (appId === null || one.appId === appId));
    const state: CheckState = matching.some((one) => one.state === 'bad')
      ? 'bad'
      : matching.length > 0 && matching.every((one) => one.state === 'good')
        ? 'good'
        : 'open';
    return { state, name: context };
  });
  return (
    found.find(({ state }) => state === 'bad') ??
    found.find(({ state }) => state === 'open') ?? { state: 'good', name: '' }
  );
};

/** How many people with write access approve, each by their newest review. */
const countApprovals = (world: World, repository: Repository, pull: Pull): number => {
  const newest = new Map(
    reviewsOf(world, pull)
      .filter(({ state }) => state !== 'COMMENTED')
      .map((review) => [review.authorId, review]),
  );
  return [...newest.values()].filter(
    ({ state, authorId }) =>
      state === 'APPROVED' &&
      isAtLeast(roleOf(world, repository, mustGet(world.accounts, authorId)), 'write'),
  ).length;
};

/** GitHub's sentence on what the branch's protection misses; null when nothing is missing. */
export const findProtectionGap = (world: World, pull: Pull): string | null => {
  const repository = mustGet(world.repositories, pull.repositoryId);
  const protection = protectionOf(repository, pull.baseRef);
  if (protection === null) return null;
  const missing = protection.requiredReviews - countApprovals(world, repository, pull);
  if (missing > 0) return `At least ${missing} approving review is required by reviewers with write access.`;
  const checks = judgeRequiredChecks(world, repository, { branch: pull.baseRef, sha: pull.headSha });
  return checks.state === 'good' ? null : `Required status check "${checks.name}" is expected.`;
};

export const judgeMergeability = (world: World, pull: Pull): Mergeability => {
  if (pull.merged !== null || pull.state === 'closed') return { mergeable: null, state: 'unknown' };
  if (pull.testMerge.kind === 'conflict') return { mergeable: false, state: 'dirty' };
  if (pull.draft) return { mergeable: true, state: 'draft' };
  const repository = mustGet(world.repositories, pull.repositoryId);
  const queued = protectionOf(repository, pull.baseRef)?.mergeQueue === true;
  if (queued || findProtectionGap(world, pull) !== null) return { mergeable: true, state: 'blocked' };
  const states = statesOf(world, repository, pull.headSha);
  return { mergeable: true, state: states.every(({ state }) => state === 'good') ? 'clean' : 'unstable' };
};
