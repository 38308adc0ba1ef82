// What people ask for on hosted forges: comments, buttons and reviews, by the rights that the forge says they have.
import { type RebuildDeps, rebuildJudged } from '../http/rebuild-change.ts';
import type { Logger } from '../lib/logger.ts';
import { type AskedOnForge, createApprovalActs } from '../pipeline/approval/approval-acts.ts';
import { type ApprovalPolicy, createApprovalPolicy } from '../pipeline/approval/approval-policy.ts';
import { createCommentAct } from '../pipeline/commands/comment-act.ts';
import { type Acts, actBy } from '../pipeline/hosted/act.ts';
import type { MergeDesk } from '../pipeline/merging/merge-desk.ts';
import { withReviews } from '../pipeline/merging/reviews.ts';
import type { ChangeRights } from '../pipeline/people/change-rights.ts';
import type { Opened, ServerParts } from './server-parts.ts';

export interface Asking {
  readonly act: ReturnType<typeof actBy>;
  /** Null where nothing waits for approval. */
  readonly approval: ApprovalPolicy | null;
  /** The same of what merge queues make. */
  readonly groupApproval: ApprovalPolicy | null;
}

interface AskingParts {
  readonly rights: ChangeRights;
  readonly merges: MergeDesk;
  readonly summaries: RebuildDeps['summaries'];
  /** Beside those of this file. */
  readonly acts?: Acts;
}

const sayAsked = (logger: Logger, asked: AskedOnForge): void =>
  logger.info('somebody asked on a forge', { ...asked });

export const openAsking = (
  { database }: ServerParts,
  { options, deps }: Opened,
  { rights, merges, summaries, acts = {} }: AskingParts,
): Asking => {
  const clock = Date.now;
  const logger = deps.loggerFor('forge');
  const onAsked = (asked: AskedOnForge): void => sayAsked(logger, asked);
  const common = { database, rights, clock, onAsked };
  const rebuilding: RebuildDeps = { summaries, changes: database.changes, clock };
  const comment = createCommentAct({
    ...common,
    merges,
    rebuild: (change, wanted) => rebuildJudged(rebuilding, change, { wanted, job: null }),
  });
  const { trustedBots, requireApproval, groupsRequireApproval } = options.approval;
  const policy = createApprovalPolicy({ approvals: database.approvals, rights, trustedBots });
  return {
    act: actBy(
      withReviews(
        { ...createApprovalActs(common), 'comment-created': comment, ...acts },
        { database, clock, wake: () => merges.wake() },
      ),
    ),
    approval: requireApproval ? policy : null,
    groupApproval: groupsRequireApproval ? policy : null,
  };
};
