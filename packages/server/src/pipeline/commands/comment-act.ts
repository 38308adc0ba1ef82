// A comment on a change that tells us to do something: who may have it done, what is done, and what they are told.
import {
  type CommentCommand,
  type MergeMethod,
  type RebuildTarget,
  readCommentCommand,
} from '@eka-ci/core/comment-command';
import type { ChangeListing, Database, StoredChange } from '../../database/database.ts';
import type { AskedOnForge } from '../approval/approval-acts.ts';
import { approveAuthor } from '../approval/approve-author.ts';
import { approveChange } from '../approval/approve-change.ts';
import type { Act, ActContext, ActEvent } from '../hosted/act.ts';
import type { MergeDesk } from '../merging/merge-desk.ts';
import { readOffered } from '../offered-request.ts';
import type { ChangeRights } from '../people/change-rights.ts';
import type { RebuildChange } from '../rebuild-answer.ts';
import {
  accepted,
  type CommandAnswer,
  committedAfter,
  denied,
  giveAnswer,
  headMoved,
  help,
  mergeUnclear,
  methodForbidden,
  refused,
  silent,
  unclear,
  unknownAttributes,
} from './command-answer.ts';
import { type CommandRate, createCommandRate } from './command-rate.ts';

export interface CommentActDeps {
  readonly database: Pick<Database, 'changes' | 'approvals'>;
  readonly rights: ChangeRights;
  readonly merges: MergeDesk;
  readonly rebuild: RebuildChange;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly onAsked: (asked: AskedOnForge) => void;
}

type Comment = Extract<ActEvent, { kind: 'comment-created' }>;

/** One command on one change, as it is now. */
interface Asked {
  readonly deps: CommentActDeps;
  readonly comment: Comment;
  readonly context: ActContext;
  readonly change: StoredChange;
}

/** Clocks of those who commit are not ours. */
const clockSkewMs = 30_000;

const mayWrite = ({ deps: { rights }, comment, context: { forge, signal } }: Asked): Promise<boolean> =>
  rights.mayWrite({ host: forge.host, repository: comment.repository.name }, comment.author, signal);

const mayMerge = async (asked: Asked): Promise<boolean> =>
  (await mayWrite(asked)) ||
  asked.deps.rights.maintainsAll(asked.change, asked.comment.author, asked.context.signal);

/** What they have seen when they wrote is what is there now, as far as the commit tells; null where it is. */
const refuseNewer = async ({ comment, context, change }: Asked): Promise<CommandAnswer | null> => {
  const { forge, signal } = context;
  const atMs = await forge.committedAt(comment.repository.name, change.head, signal);
  const isNewer = atMs !== null && atMs > comment.createdAtMs + clockSkewMs;
  return isNewer ? refused(committedAfter(change.head)) : null;
};

const tellQueued = ({ context }: Asked, change: ChangeListing): void => {
  const queued = change.state === 'queued' ? [change] : [];
  context.taken({ repository: change.repository, queued, awaiting: [], ended: [] });
};

const approve = async (asked: Asked, forAuthor: boolean): Promise<CommandAnswer> => {
  const { deps, comment, change } = asked;
  if (!(await mayWrite(asked))) return denied('Only who may write to this repository can approve.');
  const newer = await refuseNewer(asked);
  if (newer !== null) return newer;
  if (forAuthor) {
    const released = await approveAuthor(deps, { change, by: comment.author.login });
    if (released === null) {
      return refused('The account that offers this change is gone: there is nobody to approve.');
    }
    for (const one of released) tellQueued(asked, one);
  }
  const approved = await approveChange(deps, change);
  if (approved.kind === 'ended' || approved.kind === 'moved') {
    return refused('This change has moved meanwhile. Look at it, and ask again.');
  }
  if (approved.kind === 'approved') tellQueued(asked, approved.change);
  return accepted();
};

const mayRebuild = async (asked: Asked, target: RebuildTarget): Promise<boolean> => {
  const { deps, comment, context, change } = asked;
  if (await mayWrite(asked)) return true;
  const { author } = comment;
  return target.kind === 'attributes'
    ? deps.rights.maintains(change, author, target.paths, context.signal)
    : deps.rights.maintainsAll(change, author, context.signal);
};

const rebuild = async (asked: Asked, target: RebuildTarget): Promise<CommandAnswer> => {
  if (!(await mayRebuild(asked, target))) {
    return denied(
      'Only who may write to this repository, or maintains every package that is named, can have it built again.',
    );
  }
  const { deps, context, change } = asked;
  if (change.state === 'awaiting-approval') {
    return refused('Nothing of this change was built: it waits for approval.');
  }
  const wanted = target.kind === 'attributes' ? { attrs: target.paths } : ({ failed: true } as const);
  const answer = await deps.rebuild(change, wanted);
  switch (answer.kind) {
    case 'unknown':
      return refused(unknownAttributes(answer.attrs));
    case 'not-judged':
      // It is built for the first time, or could not be judged at all: that is tried again.
      return judgeAgain(asked);
    case 'done': {
      const queued = answer.changes.filter(
        ({ state, repository }) => state === 'queued' && repository === change.repository,
      );
      context.taken({ repository: change.repository, queued, awaiting: [], ended: [] });
      return answer.changes.length === 0 ? accepted('Nothing of it fails.') : accepted();
    }
  }
};

const judgeAgain = async ({ deps, context, change }: Asked): Promise<CommandAnswer> => {
  const which = { drvs: [], failuresOf: change.id, askedOf: change.id, atMs: deps.clock() };
  const { changes } = await deps.database.changes.clearFailures(which);
  const queued = changes.filter(({ id, state }) => id === change.id && state === 'queued');
  context.taken({ repository: change.repository, queued, awaiting: [], ended: [] });
  return accepted();
};

const cancel = async (asked: Asked): Promise<CommandAnswer> => {
  const { deps, comment, context, change } = asked;
  const isAuthor = readOffered(change).author?.id === comment.author.id;
  if (!isAuthor && !(await mayWrite(asked))) {
    return denied('Only its author, and who may write to this repository, can stop its builds.');
  }
  const cancelled = await deps.database.changes.cancel(change.id, deps.clock());
  if (cancelled?.ended === true) {
    context.taken({ repository: change.repository, queued: [], awaiting: [], ended: [change.id] });
  }
  return accepted();
};

const merge = async (asked: Asked, method: MergeMethod | null): Promise<CommandAnswer> => {
  const { deps, comment, context, change } = asked;
  const right = (await mayWrite(asked))
    ? 'all'
    : await deps.rights.maintainership(change, comment.author, context.signal);
  if (right !== 'all') {
    const hint =
      right === 'not-known'
        ? ' Which packages it touches is not known yet: who maintains them may ask again when it is evaluated.'
        : '';
    return denied(
      `Only who may write to this repository, or maintains every package that this change touches, can have it merged.${hint}`,
    );
  }
  const newer = await refuseNewer(asked);
  if (newer !== null) return newer;
  const { repository, number, head } = change;
  const { author: by, commentId, createdAtMs: atMs } = comment;
  const wanted = { repository, number, headSha: head, method, by, commentId, atMs };
  const answer = await deps.merges.request(wanted, context.signal);
  switch (answer.kind) {
    case 'kept':
      return accepted();
    case 'method-forbidden':
      return refused(methodForbidden(answer.allowed));
    case 'not-open':
      return refused('This change is closed.');
    case 'head-moved':
      return refused(headMoved(head, answer.now));
    case 'base-changed':
      return refused('It wants to join another branch by now. Look at it, and ask again.');
  }
};

const cancelMerge = async (asked: Asked): Promise<CommandAnswer> => {
  const { deps, comment, change } = asked;
  const { repository, number } = change;
  const mayAlways = await mayMerge(asked);
  const wanted = { repository, number, by: comment.author, mayAlways };
  const withdrawn = await deps.merges.withdraw(wanted, asked.context.signal);
  switch (withdrawn) {
    case 'withdrawn':
      return accepted();
    case 'not-theirs':
      return denied('Only whoever asked for it, and who may ask for it, can withdraw it.');
    case 'not-let-go':
      return denied('The merge queue does not let go of it: take it out there.');
    case 'nothing-pending':
      return silent;
  }
};

const carryOut = async (
  asked: Asked,
  command: Exclude<CommentCommand, { kind: 'help' }>,
): Promise<CommandAnswer> => {
  const { state } = asked.change;
  if (state === 'closed' || state === 'superseded') return refused('This change is closed.');
  switch (command.kind) {
    case 'approve':
      return approve(asked, command.forAuthor);
    case 'rebuild':
      return rebuild(asked, command.target);
    case 'cancel':
      return cancel(asked);
    case 'merge':
      return merge(asked, command.method);
    case 'merge-cancel':
      return cancelMerge(asked);
    case 'merge-unclear':
      return unclear(mergeUnclear(command.word));
  }
};

/** Null where we do not serve it: then nobody speaks there. */
const answerOf = async (
  deps: CommentActDeps,
  { comment, context, command }: { comment: Comment; context: ActContext; command: CommentCommand },
): Promise<{ readonly answer: CommandAnswer; readonly change: StoredChange } | null> => {
  const change = await context.lookAt(comment.repository, comment.changeNumber);
  if (change === null) return null;
  if (command.kind === 'help') return { answer: accepted(help), change };
  return { answer: await carryOut({ deps, comment, context, change }, command), change };
};

export const createCommentAct = (deps: CommentActDeps): Act<Comment> => {
  const rate: CommandRate = createCommandRate();
  return async (comment, context) => {
    const { author, commentId, createdAtMs: atMs, repository, changeNumber: number } = comment;
    const command = readCommentCommand(comment.text);
    if (command === null || !author.isPerson) return 'not-acted-on';
    const { forge, signal } = context;
    const asked = { host: forge.host, repository: repository.name, userId: author.id, commentId, atMs };
    if (!forge.isPermitted(repository.name, null) || rate.isTooSoon(asked)) return 'unchanged';
    const found = await answerOf(deps, { comment, context, command });
    if (found === null) return 'unchanged';
    const { answer, change } = found;
    if (answer.outcome === 'done') rate.accepted(asked);
    const place = { repository: repository.name, number, baseBranch: change.baseBranch };
    await giveAnswer(forge, { place, comment: { id: commentId, atMs }, answer }, signal);
    deps.onAsked({ ...asked, by: author.login, action: command.kind, outcome: answer.outcome });
    return answer.outcome === 'done' ? 'applied' : 'unchanged';
  };
};
