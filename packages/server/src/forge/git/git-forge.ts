// The forge that is none: a git repository whose branches are looked at from time to time.
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCodeOf } from '../../lib/error-code.ts';
import {
  type BranchTip,
  baselineBuildOf,
  type Forge,
  ForgeError,
  type ForgeRepository,
  type RepositoryListing,
  type RepositoryStatus,
} from '../forge.ts';

export interface GitForgeDeps {
  readonly repositories: readonly ForgeRepository[];
  /** All branches of what is at this URL or path. */
  readonly listBranches: (url: string, signal: AbortSignal) => Promise<readonly BranchTip[]>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Told when a repository's status changes for the better or worse. */
  readonly onStatus: (status: RepositoryStatus) => void;
}

/** Between two looks at a repository that fails, where it is not asked for less often anyway. */
const longestBackOffMs = 15 * 60_000;

/** How long to wait after so many failures in a row: doubled each time, up to a bound. */
export const waitAfter = (failures: number, intervalMs: number): number =>
  failures === 0
    ? intervalMs
    : Math.max(intervalMs, Math.min(longestBackOffMs, intervalMs * 2 ** Math.min(failures, 20)));

const undecodable = '\uFFFD';

const readListing = (
  repository: ForgeRepository,
  branches: readonly BranchTip[],
): { readonly listing: RepositoryListing; readonly warnings: readonly string[] } => {
  const base = branches.find(({ name }) => name === repository.baseBranch);
  if (base === undefined) {
    throw new ForgeError(
      'FORGE_BASE_MISSING',
      `there is no branch ${JSON.stringify(repository.baseBranch)}: push it, or set base_branch to the one that ` +
        'changes want to join',
    );
  }
  // Two such names can read the same, and then each would supersede the other for ever.
  const left = branches.filter(({ name }) => name.includes(undecodable));
  const named = branches.filter((branch) => !left.includes(branch));
  const isBaseline = ({ name }: BranchTip): boolean => baselineBuildOf(repository, name) !== null;
  return {
    listing: {
      repository,
      baseTip: base.sha,
      baselines: named.filter(isBaseline),
      branches: named.filter((branch) => !isBaseline(branch)),
    },
    warnings:
      left.length === 0
        ? []
        : [`${left.length} branches are left out: their names are not UTF-8; rename them.`],
  };
};

const faultText = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error);
  const code = errorCodeOf(error);
  return `${code === '' ? 'INTERNAL' : code}: ${message}`;
};

interface Watched {
  readonly repository: ForgeRepository;
  status: RepositoryStatus;
}

interface Watch extends GitForgeDeps {
  readonly onListing: (listing: RepositoryListing) => Promise<void>;
  readonly signal: AbortSignal;
}

const look = async (watch: Watch, watched: Watched): Promise<RepositoryStatus> => {
  const { onListing, signal } = watch;
  const { repository, status } = watched;
  try {
    const branches = await watch.listBranches(repository.url, signal);
    const { listing, warnings } = readListing(repository, branches);
    await onListing(listing);
    return { ...status, lastSeenAtMs: watch.clock(), failures: 0, fault: null, warnings };
  } catch (error) {
    if (signal.aborted) return status;
    return { ...status, failures: status.failures + 1, fault: faultText(error) };
  }
};

const watchOne = async (watch: Watch, watched: Watched): Promise<void> => {
  const { signal } = watch;
  while (!signal.aborted) {
    const before = watched.status;
    const after = await look(watch, watched);
    watched.status = after;
    if (before.fault !== after.fault || before.warnings.join() !== after.warnings.join())
      watch.onStatus(after);
    const waitMs = waitAfter(after.failures, watched.repository.pollIntervalMs);
    // The abort that ends the wait ends the loop too.
    await sleep(waitMs, undefined, { signal }).catch(() => {});
  }
};

export const createGitForge = (deps: GitForgeDeps): Forge => {
  const watched = deps.repositories.map(
    (repository): Watched => ({
      repository,
      status: { repository: repository.name, lastSeenAtMs: null, failures: 0, fault: null, warnings: [] },
    }),
  );
  return {
    kind: 'git',
    capabilities: { comments: false, statuses: false },
    repositories: deps.repositories,
    status: () => watched.map(({ status }) => status),
    watch: async (onListing, signal) => {
      await Promise.all(watched.map((one) => watchOne({ ...deps, onListing, signal }, one)));
    },
  };
};
