// The port to where changes come from. So far: what a server learns by looking; hooks and comments follow.
import type { CommitSha } from '@eka-ci/core/ids';

/** What a forge can do beside having branches. Data, so that nobody asks what kind of forge it is. */
export interface ForgeCapabilities {
  /** It shows the change summary. */
  readonly comments: boolean;
  /** It shows gates on commits. */
  readonly statuses: boolean;
}

/** How much of a base branch is built: every root, what a push changed, or nothing. */
export type BaselineBuild = 'all' | 'changed' | 'evaluate';

/** Branches that are baselines: others join them, and they join none. */
export interface BaselineRule {
  readonly matches: (branch: string) => boolean;
  readonly build: BaselineBuild;
}

/** A repository that is served. */
export interface ForgeRepository {
  /** `owner/repo`; unique in its forge. */
  readonly name: string;
  /** A git URL, or a path on this machine. May hold credentials: never shown. */
  readonly url: string;
  /** The branch that all others want to join. */
  readonly baseBranch: string;
  /** The first that matches counts; the base branch is a baseline in any case. @default none */
  readonly baselines?: readonly BaselineRule[];
  readonly pollIntervalMs: number;
}

export interface BranchTip {
  readonly name: string;
  readonly sha: CommitSha;
}

/** Everything a repository offers to be judged, at one moment. */
export interface RepositoryListing {
  readonly repository: ForgeRepository;
  readonly baseTip: CommitSha;
  /** The base branch, and every other that is kept as a baseline. */
  readonly baselines: readonly BranchTip[];
  /** All others: changes that want to join the base. No name is twice in both. */
  readonly branches: readonly BranchTip[];
}

/** How much of that branch is built when it moves; null for a branch that is a change. */
export const baselineBuildOf = (
  { baseBranch, baselines = [] }: Pick<ForgeRepository, 'baseBranch' | 'baselines'>,
  branch: string,
): BaselineBuild | null =>
  baselines.find(({ matches }) => matches(branch))?.build ?? (branch === baseBranch ? 'changed' : null);

export interface RepositoryStatus {
  readonly repository: string;
  /** Milliseconds since 1970; null before the first success. */
  readonly lastSeenAtMs: number | null;
  /** Failures in a row. */
  readonly failures: number;
  /** Why the last look failed, `CODE: what to do`; null while all is well. */
  readonly fault: string | null;
  /** What is left out and why, a sentence each. */
  readonly warnings: readonly string[];
}

export interface Forge {
  readonly kind: 'git';
  readonly capabilities: ForgeCapabilities;
  readonly repositories: readonly ForgeRepository[];
  /**
   * Looks at each repository again and again until the signal aborts; resolves when nothing of it runs any more. No
   * repository waits for another; one that fails is looked at less and less often.
   * @param onListing what it throws counts as a failed look, and is tried again
   */
  watch(onListing: (listing: RepositoryListing) => Promise<void>, signal: AbortSignal): Promise<void>;
  status(): readonly RepositoryStatus[];
}

export type ForgeErrorCode = 'FORGE_BASE_MISSING';

/** Thrown, and shown in the status, when a repository cannot be served. */
export class ForgeError extends Error {
  readonly code: ForgeErrorCode;
  constructor(code: ForgeErrorCode, message: string) {
    super(message);
    this.name = 'ForgeError';
    this.code = code;
  }
}
