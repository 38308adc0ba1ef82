// What the commands that read give: the fake's state, in few words.

import type { Journal } from '../http/journal.ts';
import type { Comment, Delivery, Pull } from '../state/entities.ts';
import { commentsOf, queueOf, runsOfSuite, suitesOf } from '../state/lookup.ts';
import { mustGet, type World } from '../state/world.ts';
import type { CommandHandlers, ReadComment, ReadDelivery, ReadPull } from './control.ts';
import type { Finding } from './finding.ts';

const describeComment = (world: World, comment: Comment): ReadComment => {
  const nameOf = (id: number): string => mustGet(world.accounts, id).login;
  return {
    id: comment.id,
    author: nameOf(comment.authorId),
    body: comment.body,
    reactions: comment.reactions.map(({ authorId, content }) => ({ author: nameOf(authorId), content })),
  };
};

const describePull = (world: World, pull: Pull): ReadPull => ({
  id: pull.id,
  number: pull.number,
  state: pull.state,
  draft: pull.draft,
  headSha: pull.headSha,
  baseSha: pull.baseSha,
  merged: pull.merged !== null,
  mergeSha: pull.merged?.sha ?? null,
  testMergeSha: pull.testMerge.kind === 'clean' ? pull.testMerge.sha : null,
  queued: [...world.queue.values()].some(({ pullId }) => pullId === pull.id),
});

const describeDelivery = (delivery: Delivery): ReadDelivery => ({
  id: delivery.id,
  guid: delivery.guid,
  appId: delivery.appId,
  event: delivery.event,
  action: delivery.action,
  status: delivery.status,
  statusCode: delivery.statusCode,
  redelivery: delivery.redelivery,
  payload: delivery.payload,
});

type ReadingName = Extract<keyof CommandHandlers, `read${string}`>;

export const createReading = (
  world: World,
  find: Finding,
  journal: Journal,
): Pick<CommandHandlers, ReadingName> => ({
  readChecks: ({ repository, sha }) =>
    suitesOf(world, find.repository(repository), sha).flatMap((suite) => runsOfSuite(world, suite)),
  readStatuses: ({ repository, sha }) => {
    const { id } = find.repository(repository);
    return [...world.statuses.values()].filter((one) => one.repositoryId === id && one.sha === sha);
  },
  readComments: (named) =>
    commentsOf(world, find.conversation(named)).map((one) => describeComment(world, one)),
  readPull: (named) => describePull(world, find.pull(named)),
  readBranches: ({ repository }) => Object.fromEntries(find.repository(repository).branches),
  readQueue: ({ repository, branch }) =>
    queueOf(world, find.repository(repository), branch).map(({ pullId, groupRef, groupSha }) => ({
      number: mustGet(world.pulls, pullId).number,
      groupRef,
      groupSha,
    })),
  readDeliveries: () => [...world.deliveries.values()].map(describeDelivery),
  readRequests: () => journal.requests,
  readViolations: () => journal.violations,
});
