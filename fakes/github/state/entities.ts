// Everything the fake remembers, as plain data. Times are milliseconds since 1970 by the fake's clock.

export interface Account {
  readonly id: number;
  login: string;
  readonly kind: 'User' | 'Organization' | 'Bot';
  readonly name: string | null;
  readonly email: string | null;
  /** An organization's people, by account id. */
  readonly members: Map<number, 'admin' | 'member'>;
  readonly createdAtMs: number;
}

export const roles = ['none', 'read', 'triage', 'write', 'maintain', 'admin'] as const;
export type Role = (typeof roles)[number];

export interface Protection {
  /** Names of check runs, or contexts of statuses; `appId` says whose. */
  readonly requiredChecks: readonly { readonly context: string; readonly appId: number | null }[];
  readonly requiredReviews: number;
  /** Pull requests reach the branch through its merge queue only. */
  readonly mergeQueue: boolean;
}

export type MergeMethod = 'merge' | 'squash' | 'rebase';

export interface Repository {
  readonly id: number;
  name: string;
  ownerId: number;
  private: boolean;
  /** A bare repository. */
  readonly folder: string;
  defaultBranch: string;
  readonly parentId: number | null;
  readonly collaborators: Map<number, Role>;
  /** What members of the owning organization may do who are no collaborators. */
  memberRole: Role;
  mergeMethods: readonly MergeMethod[];
  readonly protections: Map<string, Protection>;
  /** Branches as the last look found them: name → sha. */
  branches: ReadonlyMap<string, string>;
  nextNumber: number;
  readonly createdAtMs: number;
  pushedAtMs: number;
}

interface Conversation {
  readonly id: number;
  readonly repositoryId: number;
  readonly number: number;
  title: string;
  body: string | null;
  readonly authorId: number;
  state: 'open' | 'closed';
  locked: boolean;
  /** Gone: everything about it is 410. */
  deleted: boolean;
  readonly createdAtMs: number;
  updatedAtMs: number;
  closedAtMs: number | null;
}

export interface Issue extends Conversation {
  readonly kind: 'issue';
}

export interface Pull extends Conversation {
  readonly kind: 'pull';
  draft: boolean;
  /** Null once the fork was deleted. */
  headRepositoryId: number | null;
  readonly headRef: string;
  headSha: string;
  baseRef: string;
  baseSha: string;
  /** Null while nobody knows: GitHub computes it behind the answer. */
  testMerge: { readonly kind: 'clean'; readonly sha: string } | { readonly kind: 'conflict' };
  /** How many reads are still told that GitHub does not know whether it can be merged. */
  unknownReads: number;
  merged: { readonly sha: string; readonly byId: number; readonly atMs: number } | null;
}

export interface Review {
  readonly id: number;
  readonly pullId: number;
  readonly authorId: number;
  readonly commitSha: string;
  readonly body: string;
  state: 'APPROVED' | 'CHANGES_REQUESTED' | 'COMMENTED' | 'DISMISSED';
  readonly submittedAtMs: number;
}

export interface Reaction {
  readonly id: number;
  readonly authorId: number;
  readonly content: string;
  readonly createdAtMs: number;
}

export interface Comment {
  readonly id: number;
  readonly repositoryId: number;
  readonly number: number;
  readonly authorId: number;
  readonly appId: number | null;
  body: string;
  readonly createdAtMs: number;
  updatedAtMs: number;
  reactions: readonly Reaction[];
}

export interface Annotation {
  readonly path: string;
  readonly start_line: number;
  readonly end_line: number;
  readonly start_column?: number | undefined;
  readonly end_column?: number | undefined;
  readonly annotation_level: string;
  readonly message: string;
  readonly title?: string | undefined;
  readonly raw_details?: string | undefined;
}

export interface CheckAction {
  readonly label: string;
  readonly description: string;
  readonly identifier: string;
}

export interface CheckSuite {
  readonly id: number;
  readonly repositoryId: number;
  readonly appId: number;
  readonly headSha: string;
  /** Null for commits that no branch of this repository held: those of forks. */
  readonly headBranch: string | null;
  readonly before: string | null;
  readonly createdAtMs: number;
  updatedAtMs: number;
}

export interface CheckRun {
  readonly id: number;
  readonly suiteId: number;
  readonly repositoryId: number;
  readonly appId: number;
  readonly headSha: string;
  name: string;
  externalId: string;
  detailsUrl: string | null;
  status: string;
  conclusion: string | null;
  startedAtMs: number | null;
  completedAtMs: number | null;
  output: { readonly title: string | null; readonly summary: string | null; readonly text: string | null };
  annotations: readonly Annotation[];
  actions: readonly CheckAction[];
}

export interface CommitStatus {
  readonly id: number;
  readonly repositoryId: number;
  readonly sha: string;
  readonly state: string;
  readonly context: string;
  readonly description: string | null;
  readonly targetUrl: string | null;
  readonly creatorId: number;
  readonly createdAtMs: number;
}

export interface WorkflowRun {
  readonly id: number;
  readonly repositoryId: number;
  readonly headRepositoryId: number;
  readonly headSha: string;
  readonly headBranch: string;
  readonly actorId: number;
  readonly pullId: number | null;
  /** `action_required` as a conclusion: it waits for somebody's approval. */
  status: 'queued' | 'completed';
  conclusion: string | null;
  attempt: number;
  readonly runNumber: number;
  readonly createdAtMs: number;
  updatedAtMs: number;
}

/** One pull request in a merge queue, and the group that is tested for it. */
export interface QueueEntry {
  readonly id: number;
  readonly repositoryId: number;
  readonly pullId: number;
  readonly enqueuerId: number;
  readonly headSha: string;
  readonly baseRef: string;
  readonly baseSha: string;
  readonly groupRef: string;
  readonly groupSha: string;
  readonly enqueuedAtMs: number;
}

export interface App {
  readonly id: number;
  readonly slug: string;
  readonly name: string;
  readonly ownerId: number;
  readonly botId: number;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly publicKey: string;
  readonly callbackUrls: readonly string[];
  readonly hookId: number;
  hookUrl: string | null;
  hookSecret: string | null;
  readonly hookContentType: 'json' | 'form';
  readonly events: readonly string[];
  readonly permissions: Readonly<Record<string, string>>;
  readonly createdAtMs: number;
}

export interface Installation {
  readonly id: number;
  readonly appId: number;
  readonly accountId: number;
  /** Null: all of the account's, those to come too. */
  repositoryIds: Set<number> | null;
  permissions: Readonly<Record<string, string>>;
  suspended: { readonly byId: number; readonly atMs: number } | null;
  readonly createdAtMs: number;
  updatedAtMs: number;
}

export type Token =
  | {
      readonly kind: 'installation';
      readonly installationId: number;
      readonly repositoryIds: ReadonlySet<number> | null;
      readonly permissions: Readonly<Record<string, string>>;
      readonly expiresAtMs: number;
    }
  | {
      readonly kind: 'user';
      readonly userId: number;
      /** The app on whose behalf it was given; null for a person's own. */
      readonly appId: number | null;
      readonly expiresAtMs: number | null;
    };

export interface Delivery {
  readonly id: number;
  readonly guid: string;
  readonly appId: number;
  readonly event: string;
  readonly action: string | null;
  readonly installationId: number | null;
  readonly repositoryId: number | null;
  readonly redelivery: boolean;
  readonly deliveredAtMs: number;
  /** Seconds. */
  readonly duration: number;
  /** `OK`, or what GitHub says of a failure. */
  readonly status: string;
  readonly statusCode: number;
  readonly url: string;
  readonly requestHeaders: Readonly<Record<string, string>>;
  /** The body's text as JSON, whatever the content type was. */
  readonly payload: string;
  readonly responseHeaders: Readonly<Record<string, string>>;
  readonly responseBody: string;
}
