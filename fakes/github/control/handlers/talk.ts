// Commands that are what somebody says or presses.
import * as checks from '../../actions/checks.ts';
import * as conversations from '../../actions/conversations.ts';
import { approveWorkflowRun, startWorkflowRun } from '../../actions/workflow-runs.ts';
import type { World } from '../../state/world.ts';
import type { CommandHandlers } from '../control.ts';
import type { Finding } from '../finding.ts';

type Some<Names extends keyof CommandHandlers> = Pick<CommandHandlers, Names>;

export const talkHandlers = (
  world: World,
  find: Finding,
): Some<
  | 'approveWorkflowRun'
  | 'comment'
  | 'deleteComment'
  | 'dismissReview'
  | 'editComment'
  | 'pressAction'
  | 'rerequestRun'
  | 'rerequestSuite'
  | 'review'
  | 'startWorkflowRun'
> => ({
  comment: ({ by, body, ...named }) => {
    const given = { by: find.account(by), app: null, body };
    return { id: conversations.addComment(world, find.conversation(named), given).id };
  },
  editComment: ({ comment, by, body }) => {
    const one = find.inMap(world.comments, comment, 'comment');
    conversations.editComment(world, one, { by: find.account(by), body });
    return null;
  },
  deleteComment: ({ comment, by }) => {
    conversations.deleteComment(world, find.inMap(world.comments, comment, 'comment'), find.account(by));
    return null;
  },
  review: ({ by, state, body, ...named }) => {
    const given = { by: find.account(by), state, body, sha: null };
    return { id: conversations.addReview(world, find.pull(named), given).id };
  },
  dismissReview: ({ review, by }) => {
    conversations.dismissReview(world, find.inMap(world.reviews, review, 'review'), find.account(by));
    return null;
  },
  startWorkflowRun: async ({ waitsForApproval, ...named }) => {
    const run = await startWorkflowRun(world, find.pull(named), { waits: waitsForApproval });
    return { id: run.id };
  },
  approveWorkflowRun: async ({ run, by }) => {
    const one = find.inMap(world.workflowRuns, run, 'workflow run');
    await approveWorkflowRun(world, one, find.account(by));
    return null;
  },
  rerequestRun: ({ run, by }) => {
    checks.rerequestRun(world, find.inMap(world.checkRuns, run, 'check run'), find.account(by));
    return null;
  },
  rerequestSuite: async ({ suite, by }) => {
    const one = find.inMap(world.checkSuites, suite, 'check suite');
    await checks.rerequestSuite(world, one, find.account(by));
    return null;
  },
  pressAction: ({ run, identifier, by }) => {
    const pressed = { identifier, by: find.account(by) };
    checks.pressAction(world, find.inMap(world.checkRuns, run, 'check run'), pressed);
    return null;
  },
});
