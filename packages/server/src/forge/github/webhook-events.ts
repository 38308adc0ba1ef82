// From a webhook's name and JSON to an event in our words. What we have no word for is ignored by its name.
import { z } from 'zod';
import type { ForgeAccessEvent, ForgeEvent, RepositoryHappening, ReviewVerdict } from '../forge-event.ts';
import { isOfRights, readRights } from './rights-events.ts';
import { refuseBody, type WebhookRefusal } from './webhook-body.ts';
import {
  CheckRunHook,
  CheckSuiteHook,
  ClosedPullRequest,
  Envelope,
  InRepository,
  InstallationHook,
  InstallationRepositoriesHook,
  IssueCommentHook,
  MergeGroupHook,
  PullRequestHook,
  PushHook,
  RenamedHook,
  ReviewHook,
  TransferredHook,
  WorkflowRunHook,
} from './webhook-schema.ts';

interface Ignored {
  readonly kind: 'ignored';
  /** `event` or `event.action`. */
  readonly name: string;
  /** Continues a sentence that begins with the name. */
  readonly why: string;
}

export interface ReceivedEvent {
  readonly kind: 'event';
  readonly event: ForgeEvent;
  /** Null in hooks that are no app's. */
  readonly installationId: number | null;
  /** The app that owns the gate which was pressed; null for every other event. One that is not ours is not for us. */
  readonly ownerAppId: number | null;
}

export type WebhookReading = ReceivedEvent | Ignored | WebhookRefusal;

type Skipped = { readonly kind: 'skipped'; readonly why: string };
type Happening = RepositoryHappening | Skipped;

const skipped = (why: string): Skipped => ({ kind: 'skipped', why });

const headPrefix = 'refs/heads/';
const branchOf = (ref: string): string => (ref.startsWith(headPrefix) ? ref.slice(headPrefix.length) : ref);

const readChange =
  (kind: 'change-moved' | 'change-draft') =>
  (json: unknown): Happening => ({
    kind,
    change: PullRequestHook.parse(json).pull_request,
  });

const readOpened =
  (isNew: boolean) =>
  (json: unknown): Happening => ({
    kind: 'change-opened',
    change: PullRequestHook.parse(json).pull_request,
    isNew,
  });

const readClosed = (json: unknown): Happening => ({
  kind: 'change-closed',
  change: PullRequestHook.parse(json).pull_request,
  isMerged: ClosedPullRequest.parse(json).pull_request.merged,
});

const readEdited = (json: unknown): Happening => {
  const { pull_request: change, changes } = PullRequestHook.parse(json);
  const oldBaseBranch = changes?.base?.ref.from;
  return oldBaseBranch === undefined
    ? skipped('leaves the base branch as it is')
    : { kind: 'change-base-changed', change, oldBaseBranch };
};

const readGroup = (json: unknown) => {
  const { merge_group: group, reason } = MergeGroupHook.parse(json);
  // gh-readonly-queue/<base>/pr-<number>-<sha>
  const number = /\/pr-(\d{1,15})-[0-9a-f]+$/.exec(group.head_ref)?.[1];
  return {
    group: {
      ref: group.head_ref,
      headSha: group.head_sha,
      baseSha: group.base_sha,
      baseBranch: branchOf(group.base_ref),
      changeNumber: number === undefined ? null : Number(number),
    },
    reason,
  };
};

const destroyedReasons = ['merged', 'dequeued', 'invalidated'] as const;

const readDestroyed = (json: unknown): Happening => {
  const { group, reason } = readGroup(json);
  const known = destroyedReasons.find((one) => one === reason);
  return { kind: 'merge-group-destroyed', group, reason: known ?? 'unknown' };
};

const readPush = (json: unknown): Happening => {
  const { ref, before, after } = PushHook.parse(json);
  if (!ref.startsWith(headPrefix)) return skipped('is of no branch');
  const branch = branchOf(ref);
  if (branch.startsWith('gh-readonly-queue/')) return skipped("is of the merge queue's own branch");
  return { kind: 'branch-pushed', branch, before, after };
};

const readComment = (json: unknown): Happening => {
  const { issue, comment } = IssueCommentHook.parse(json);
  if ((issue.pull_request ?? null) === null) return skipped('is on an issue that is no change');
  if (comment.user === null || !comment.user.isPerson) return skipped('is by no person');
  return {
    kind: 'comment-created',
    changeNumber: issue.number,
    commentId: comment.id,
    author: comment.user,
    text: comment.body,
    createdAtMs: comment.created_at,
  };
};

const verdicts: ReadonlyMap<string, ReviewVerdict> = new Map([
  ['approved', 'approved'],
  ['changes_requested', 'changes-requested'],
  ['commented', 'commented'],
]);

const readReview =
  (kind: 'review-submitted' | 'review-dismissed') =>
  (json: unknown): Happening => {
    const { review, pull_request: pull } = ReviewHook.parse(json);
    const change = { number: pull.number, headSha: pull.head.sha, baseBranch: pull.base.ref };
    const reviewer = review.user;
    if (reviewer === null) return skipped('is by an account that is gone');
    const reviewId = review.id;
    if (kind === 'review-dismissed') return { kind, change, reviewer, reviewId };
    const verdict = verdicts.get(review.state.toLowerCase());
    if (verdict === undefined) return skipped('has a verdict that we have no word for');
    return { kind, change, reviewer, reviewId, verdict, reviewedSha: review.commit_id ?? null };
  };

const readGate = (json: unknown) => {
  const { check_run: run, requested_action: action } = CheckRunHook.parse(json);
  const externalId = (run.external_id ?? '') === '' ? null : (run.external_id ?? null);
  return { gate: { gateId: run.id, name: run.name, externalId, headSha: run.head_sha }, action };
};

const readAction = (json: unknown): Happening => {
  const { gate, action } = readGate(json);
  return (action ?? null) === null
    ? skipped('names no action')
    : { kind: 'gate-action', gate, action: action?.identifier ?? '' };
};

const readRun = (json: unknown): Happening => {
  const { workflow_run: run } = WorkflowRunHook.parse(json);
  const headRepository = run.head_repository ?? null;
  const isOutside = run.event === 'pull_request' && headRepository?.id !== run.repository.id;
  if (!isOutside) return skipped('is for no change from outside');
  const rest = { runId: run.id, headSha: run.head_sha, headRepository, author: run.actor ?? null };
  if (run.conclusion === 'action_required') return { kind: 'outside-run-held', ...rest };
  const isOver = (run.conclusion ?? null) !== null;
  return isOver ? skipped('is over') : { kind: 'outside-run-goes-on', ...rest };
};

const readRenamed = (json: unknown): Happening => {
  const [owner = ''] = InRepository.parse(json).repository.name.split('/');
  return {
    kind: 'repository-renamed',
    oldName: `${owner}/${RenamedHook.parse(json).changes.repository.name.from}`,
  };
};

const readTransferred = (json: unknown): Happening => {
  const [, name = ''] = InRepository.parse(json).repository.name.split('/');
  const { user, organization } = TransferredHook.parse(json).changes.owner.from;
  const owner = user?.login ?? organization?.login;
  return owner === undefined
    ? skipped('does not say whose it was')
    : { kind: 'repository-transferred', oldName: `${owner}/${name}` };
};

/** Of what happens in a repository, by `event` or `event.action`. */
const inRepository: ReadonlyMap<string, (json: unknown) => Happening> = new Map([
  ['pull_request.opened', readOpened(true)],
  ['pull_request.reopened', readOpened(false)],
  ['pull_request.synchronize', readChange('change-moved')],
  ['pull_request.closed', readClosed],
  ['pull_request.ready_for_review', readChange('change-draft')],
  ['pull_request.converted_to_draft', readChange('change-draft')],
  ['pull_request.edited', readEdited],
  [
    'merge_group.checks_requested',
    (json) => ({ kind: 'merge-group-requested', group: readGroup(json).group }),
  ],
  ['merge_group.destroyed', readDestroyed],
  ['push', readPush],
  ['issue_comment.created', readComment],
  ['pull_request_review.submitted', readReview('review-submitted')],
  ['pull_request_review.dismissed', readReview('review-dismissed')],
  ['check_run.rerequested', (json) => ({ kind: 'gate-rerun', gate: readGate(json).gate })],
  ['check_run.requested_action', readAction],
  [
    'check_suite.rerequested',
    (json) => ({ kind: 'gates-rerun', headSha: CheckSuiteHook.parse(json).check_suite.head_sha }),
  ],
  ['workflow_run.requested', readRun],
  ['workflow_run.in_progress', readRun],
  ['workflow_run.completed', readRun],
  ['repository.renamed', readRenamed],
  ['repository.transferred', readTransferred],
  ['repository.deleted', () => ({ kind: 'repository-deleted' })],
  ['repository.privatized', () => ({ kind: 'repository-visibility', isPrivate: true })],
  ['repository.publicized', () => ({ kind: 'repository-visibility', isPrivate: false })],
]);

const accountOf = (json: unknown): string => {
  const { id, account } = InstallationHook.parse(json).installation;
  return account?.login ?? account?.slug ?? `installation ${id}`;
};

const accessOf =
  (kind: Exclude<ForgeAccessEvent['kind'], 'repositories-changed'>) =>
  (json: unknown): ForgeAccessEvent => ({ kind, account: accountOf(json) });

const readRepositories = (json: unknown): ForgeAccessEvent => {
  const { repositories_added: added, repositories_removed: removed } =
    InstallationRepositoriesHook.parse(json);
  return { kind: 'repositories-changed', account: accountOf(json), added, removed };
};

/** Of what the app may reach. */
const ofAccess: ReadonlyMap<string, (json: unknown) => ForgeAccessEvent> = new Map([
  ['installation.created', accessOf('access-given')],
  ['installation.deleted', accessOf('access-ended')],
  ['installation.suspend', accessOf('access-suspended')],
  ['installation.unsuspend', accessOf('access-resumed')],
  ['installation.new_permissions_accepted', accessOf('access-rights-changed')],
  ['installation_repositories.added', readRepositories],
  ['installation_repositories.removed', readRepositories],
]);

const ownerAppOf = (name: string, json: unknown): number | null => {
  if (name.startsWith('check_run.')) return CheckRunHook.parse(json).check_run.app?.id ?? null;
  if (name.startsWith('check_suite.')) return CheckSuiteHook.parse(json).check_suite.app?.id ?? null;
  return null;
};

const readKnown = (name: string, json: unknown): ForgeEvent | Skipped => {
  const access = ofAccess.get(name);
  if (access !== undefined) return access(json);
  if (name === 'ping') return { kind: 'ping' };
  if (isOfRights(name)) return readRights(json) ?? skipped('does not say of what');
  const read = inRepository.get(name);
  if (read === undefined) return skipped('is nothing that we act on');
  const happening = read(json);
  if (happening.kind === 'skipped') return happening;
  const { sender } = Envelope.parse(json);
  return { ...happening, repository: InRepository.parse(json).repository, by: sender ?? null };
};

/** `event.action`, or the event alone where it has none. */
const nameOf = (eventName: string, action: string | null | undefined): string =>
  action === null || action === undefined ? eventName : `${eventName}.${action}`;

/** Whether one of that name may be something that we act on. */
export const isUnderstood = (eventName: string, action: string | null | undefined): boolean => {
  const name = nameOf(eventName, action);
  return ofAccess.has(name) || inRepository.has(name);
};

const readEvent = (eventName: string, json: unknown): WebhookReading => {
  const { action, installation } = Envelope.parse(json);
  const name = nameOf(eventName, action);
  const event = readKnown(name, json);
  if (event.kind === 'skipped') return { kind: 'ignored', name, why: event.why };
  return {
    kind: 'event',
    event,
    installationId: installation?.id ?? null,
    ownerAppId: ownerAppOf(name, json),
  };
};

/** @param eventName as `X-GitHub-Event` says */
export const readWebhookEvent = (eventName: string, json: unknown): WebhookReading => {
  try {
    return readEvent(eventName, json);
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    // Paths and kinds of what is wrong, never a value.
    const where = error.issues
      .slice(0, 3)
      .map(({ path, code }) => `${path.join('.') || 'the body'} (${code})`);
    return refuseBody('shape', `${eventName} has not the form that GitHub documents: ${where.join(', ')}`);
  }
};
