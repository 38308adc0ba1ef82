// Commands about branches, pull requests and merge queues.
import { dequeuePull, enqueuePull } from '../../actions/merge-queue.ts';
import { mergePull } from '../../actions/merging.ts';
import * as pulls from '../../actions/pulls.ts';
import * as pushes from '../../actions/push.ts';
import type { World } from '../../state/world.ts';
import type { CommandHandlers } from '../control.ts';
import type { Finding } from '../finding.ts';

type Some<Names extends keyof CommandHandlers> = Pick<CommandHandlers, Names>;

export const pullHandlers = (
  world: World,
  find: Finding,
): Some<
  | 'closePull'
  | 'deleteBranch'
  | 'dequeue'
  | 'editPull'
  | 'enqueue'
  | 'forgetMergeability'
  | 'mergePull'
  | 'noticeBranches'
  | 'openIssue'
  | 'openPull'
  | 'push'
  | 'reopenPull'
  | 'setConversation'
  | 'setDraft'
> => ({
  push: async ({ repository, by, ...pushed }) => ({
    sha: await pushes.pushFiles(world, find.repository(repository), { ...pushed, by: find.account(by) }),
  }),
  deleteBranch: async ({ repository, branch, by }) => {
    await pushes.deleteBranch(world, find.repository(repository), { branch, by: find.account(by) });
    return null;
  },
  noticeBranches: async ({ repository, by }) => {
    await pushes.noticeBranches(world, find.repository(repository), find.account(by));
    return null;
  },
  openPull: async ({ by, from, base, ...given }) => {
    const repository = find.repository(given.repository);
    const { id, number, headSha } = await pulls.openPull(world, {
      ...given,
      repository,
      from: from === undefined ? repository : find.repository(from),
      base: base ?? repository.defaultBranch,
      author: find.account(by),
    });
    return { id, number, headSha };
  },
  openIssue: ({ by, repository, title, body }) => {
    const author = find.account(by);
    const issue = pulls.openIssue(world, { repository: find.repository(repository), title, body, author });
    return { number: issue.number };
  },
  closePull: async ({ by, ...named }) => {
    await pulls.closePull(world, find.pull(named), find.account(by));
    return null;
  },
  reopenPull: async ({ by, ...named }) => {
    await pulls.reopenPull(world, find.pull(named), find.account(by));
    return null;
  },
  setDraft: async ({ by, draft, ...named }) => {
    await pulls.setDraft(world, find.pull(named), { draft, by: find.account(by) });
    return null;
  },
  editPull: async ({ by, title, body, base, ...named }) => {
    await pulls.editPull(world, find.pull(named), { title, body, base, by: find.account(by) });
    return null;
  },
  mergePull: async ({ by, method, ...named }) => {
    const request = { method, sha: null, title: null, message: null, mayChangeWorkflows: true };
    return { sha: await mergePull(world, find.pull(named), { ...request, by: find.account(by) }) };
  },
  forgetMergeability: ({ reads, ...named }) => {
    find.pull(named).unknownReads = reads;
    return null;
  },
  setConversation: ({ locked, deleted, ...named }) => {
    const one = find.conversation(named);
    one.locked = locked ?? one.locked;
    one.deleted = deleted ?? one.deleted;
    return null;
  },
  enqueue: async ({ by, ...named }) => {
    const entry = await enqueuePull(world, find.pull(named), { by: find.account(by), expectedHead: null });
    return { groupRef: entry.groupRef, groupSha: entry.groupSha };
  },
  dequeue: async ({ by, ...named }) => {
    await dequeuePull(world, find.pull(named), find.account(by));
    return null;
  },
});
