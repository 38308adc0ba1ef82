// Payloads of webhooks, each as much of it as we need.
// https://docs.github.com/en/webhooks/webhook-events-and-payloads
import { z } from 'zod';
import {
  BranchName,
  Id,
  Moment,
  PullRequest,
  Repository,
  RepositoryId,
  Sha,
  ShaOrNone,
  User,
} from './github-schema.ts';

/** What every payload may have. */
export const Envelope = z.object({
  action: z.string().max(100).optional(),
  installation: z.object({ id: Id }).nullish(),
  sender: User.nullish(),
});

/** What every payload has that tells of a repository. */
export const InRepository = z.object({ repository: Repository });

export const PullRequestHook = z.object({
  pull_request: PullRequest,
  changes: z.object({ base: z.object({ ref: z.object({ from: BranchName }) }).optional() }).optional(),
});

export const ClosedPullRequest = z.object({ pull_request: z.object({ merged: z.boolean() }) });

export const MergeGroupHook = z.object({
  merge_group: z.object({ head_sha: Sha, head_ref: BranchName, base_sha: Sha, base_ref: BranchName }),
  reason: z.string().optional(),
});

export const PushHook = z.object({ ref: z.string().min(1).max(1100), before: ShaOrNone, after: ShaOrNone });

export const IssueCommentHook = z.object({
  issue: z.object({ number: Id, pull_request: z.object({}).nullish() }),
  comment: z.object({ id: Id, user: User.nullable(), body: z.string(), created_at: Moment }),
});

export const ReviewHook = z.object({
  review: z.object({ id: Id, user: User.nullable(), state: z.string(), commit_id: Sha.nullish() }),
  pull_request: z.object({ number: Id, head: z.object({ sha: Sha }), base: z.object({ ref: BranchName }) }),
});

const OwnerApp = z.object({ id: Id }).nullish();

export const CheckRunHook = z.object({
  check_run: z.object({
    id: Id,
    name: z.string().max(1000),
    external_id: z.string().max(1000).nullish(),
    head_sha: Sha,
    app: OwnerApp,
  }),
  requested_action: z.object({ identifier: z.string().max(100) }).nullish(),
});

export const CheckSuiteHook = z.object({ check_suite: z.object({ head_sha: Sha, app: OwnerApp }) });

export const WorkflowRunHook = z.object({
  workflow_run: z.object({
    id: Id,
    head_sha: Sha,
    event: z.string(),
    conclusion: z.string().nullish(),
    actor: User.nullish(),
    repository: z.object({ id: Id }),
    head_repository: RepositoryId.nullish(),
  }),
});

const Account = z.object({ login: z.string().max(100).optional(), slug: z.string().max(100).optional() });

export const InstallationHook = z.object({
  installation: z.object({ id: Id, account: Account.nullable() }),
});

export const InstallationRepositoriesHook = InstallationHook.extend({
  repositories_added: z.array(RepositoryId),
  repositories_removed: z.array(RepositoryId),
});

const OldOwner = z.object({ login: z.string().regex(/^[\w.-]{1,100}$/) }).nullish();

export const RenamedHook = z.object({
  changes: z.object({
    repository: z.object({ name: z.object({ from: z.string().regex(/^[\w.-]{1,100}$/) }) }),
  }),
});

export const TransferredHook = z.object({
  changes: z.object({ owner: z.object({ from: z.object({ user: OldOwner, organization: OldOwner }) }) }),
});
