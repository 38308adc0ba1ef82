// The merge queue of a branch: entries in order, each tested as a group on top of those before it.

import { readCommit } from '../git/commits.ts';
import { moveRef } from '../git/repository-folder.ts';
import { renderSimpleCommit } from '../render/commit.ts';
import type { Account, Pull, QueueEntry, Repository } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import { protectionOf, queueOf } from '../state/lookup.ts';
import { Refusal } from '../state/refusal.ts';
import { mustGet, type World } from '../state/world.ts';
import { githubBot } from './accounts.ts';
import { judgeRequiredChecks } from './mergeability.ts';
import { combine } from './merging.ts';
import { markMerged, tellPull } from './pulls.ts';
import { noticeBranches } from './push.ts';

type Ending = 'merged' | 'invalidated' | 'dequeued';

const renderGroup = async (world: World, entry: QueueEntry): Promise<JsonObject> => {
  const { folder } = mustGet(world.repositories, entry.repositoryId);
  return {
    head_sha: entry.groupSha,
    head_ref: `refs/heads/${entry.groupRef}`,
    base_sha: entry.baseSha,
    base_ref: `refs/heads/${entry.baseRef}`,
    head_commit: renderSimpleCommit(await readCommit(world.git, folder, entry.groupSha)),
  };
};

const tellGroup = async (
  world: World,
  entry: QueueEntry,
  told: { readonly action: 'checks_requested' | 'destroyed'; readonly by: Account; readonly reason?: Ending },
): Promise<void> =>
  world.publish({
    event: 'merge_group',
    action: told.action,
    sender: told.by,
    repository: mustGet(world.repositories, entry.repositoryId),
    body: {
      merge_group: await renderGroup(world, entry),
      ...(told.reason === undefined ? {} : { reason: told.reason }),
    },
  });

/** Makes the group's commit and its branch, and asks for its checks. Null on a conflict. */
const formGroup = async (
  world: World,
  pull: Pull,
  given: { readonly id: number; readonly by: Account; readonly enqueuedAtMs: number },
): Promise<QueueEntry | null> => {
  const repository = mustGet(world.repositories, pull.repositoryId);
  const last = queueOf(world, repository, pull.baseRef).at(-1);
  const base = last?.groupSha ?? mustGet(repository.branches, pull.baseRef);
  const request = {
    by: mustGet(world.accounts, given.by.id),
    method: repository.mergeMethods[0] ?? 'merge',
    sha: null,
    title: null,
    message: null,
    mayChangeWorkflows: true,
  };
  const groupSha = await combine(world, pull, { base, request });
  if (groupSha === null) return null;
  const entry: QueueEntry = {
    id: given.id,
    repositoryId: repository.id,
    pullId: pull.id,
    enqueuerId: given.by.id,
    headSha: pull.headSha,
    baseRef: pull.baseRef,
    baseSha: base,
    groupRef: `gh-readonly-queue/${pull.baseRef}/pr-${pull.number}-${base}`,
    groupSha,
    enqueuedAtMs: given.enqueuedAtMs,
  };
  world.queue.set(entry.id, entry);
  await moveRef(world.git, repository.folder, `refs/heads/${entry.groupRef}`, groupSha);
  await noticeBranches(world, repository, githubBot(world));
  await tellGroup(world, entry, { action: 'checks_requested', by: githubBot(world) });
  return entry;
};

/** @throws Refusal in GitHub's words where the pull request cannot wait in a queue */
export const enqueuePull = async (
  world: World,
  pull: Pull,
  { by, expectedHead }: { readonly by: Account; readonly expectedHead: string | null },
): Promise<QueueEntry> => {
  const repository = mustGet(world.repositories, pull.repositoryId);
  if (protectionOf(repository, pull.baseRef)?.mergeQueue !== true)
    throw new Refusal(422, 'The merge queue is not enabled for this branch');
  if (pull.state === 'closed' || pull.draft)
    throw new Refusal(422, 'Pull request is not in a mergeable state');
  if (expectedHead !== null && expectedHead !== pull.headSha)
    throw new Refusal(422, `Expected head sha didn't match current head ref.`);
  if ([...world.queue.values()].some(({ pullId }) => pullId === pull.id))
    throw new Refusal(422, 'Pull request is already in the queue');
  const entry = await formGroup(world, pull, { id: world.nextId(), by, enqueuedAtMs: world.clock.now() });
  if (entry === null) throw new Refusal(422, 'Pull request has merge conflicts');
  await tellPull(world, pull, { action: 'enqueued', by });
  return entry;
};

const destroyGroup = async (
  world: World,
  entry: QueueEntry,
  { reason, by }: { readonly reason: Ending; readonly by: Account },
): Promise<void> => {
  const repository = mustGet(world.repositories, entry.repositoryId);
  world.queue.delete(entry.id);
  await tellGroup(world, entry, { action: 'destroyed', by, reason });
  await moveRef(world.git, repository.folder, `refs/heads/${entry.groupRef}`, null);
  await noticeBranches(world, repository, githubBot(world));
};

/** Those behind an entry that left stood on its commit: they are tested anew, on what is left. */
const reformBehind = async (world: World, entries: readonly QueueEntry[]): Promise<void> => {
  const by = githubBot(world);
  for (const entry of entries) await destroyGroup(world, entry, { reason: 'invalidated', by });
  for (const entry of entries) {
    const pull = mustGet(world.pulls, entry.pullId);
    const enqueuer = mustGet(world.accounts, entry.enqueuerId);
    const given = { id: entry.id, by: enqueuer, enqueuedAtMs: entry.enqueuedAtMs };
    if ((await formGroup(world, pull, given)) === null)
      await tellPull(world, pull, { action: 'dequeued', by, more: { reason: 'MERGE_CONFLICT' } });
  }
};

export const dequeuePull = async (world: World, pull: Pull, by: Account): Promise<QueueEntry> => {
  const entry = [...world.queue.values()].find(({ pullId }) => pullId === pull.id);
  if (entry === undefined) throw new Refusal(422, 'Pull request is not in the queue');
  const repository = mustGet(world.repositories, pull.repositoryId);
  const all = queueOf(world, repository, entry.baseRef);
  await destroyGroup(world, entry, { reason: 'dequeued', by });
  await tellPull(world, pull, { action: 'dequeued', by, more: { reason: 'MANUAL' } });
  await reformBehind(world, all.slice(all.indexOf(entry) + 1));
  return entry;
};

const mergeGroup = async (world: World, entry: QueueEntry): Promise<void> => {
  const repository = mustGet(world.repositories, entry.repositoryId);
  const pull = mustGet(world.pulls, entry.pullId);
  const by = githubBot(world);
  await moveRef(world.git, repository.folder, `refs/heads/${entry.baseRef}`, entry.groupSha);
  await markMerged(world, pull, { sha: entry.groupSha, by: mustGet(world.accounts, entry.enqueuerId) });
  await noticeBranches(world, repository, by);
  await destroyGroup(world, entry, { reason: 'merged', by });
};

const failGroup = async (world: World, entry: QueueEntry): Promise<void> => {
  const repository = mustGet(world.repositories, entry.repositoryId);
  const all = queueOf(world, repository, entry.baseRef);
  const by = githubBot(world);
  await destroyGroup(world, entry, { reason: 'dequeued', by });
  await tellPull(world, mustGet(world.pulls, entry.pullId), {
    action: 'dequeued',
    by,
    more: { reason: 'CI_FAILURE' },
  });
  await reformBehind(world, all.slice(all.indexOf(entry) + 1));
};

/** Takes out what was closed or moved, and tests the rest anew where the branch is elsewhere than the front stands. */
const followMoves = async (world: World, repository: Repository, branch: string): Promise<void> => {
  const by = githubBot(world);
  for (const entry of queueOf(world, repository, branch)) {
    const pull = mustGet(world.pulls, entry.pullId);
    const moved = pull.headSha !== entry.headSha || pull.baseRef !== entry.baseRef;
    if (moved || pull.state === 'closed') await dequeuePull(world, pull, by);
  }
  const left = queueOf(world, repository, branch);
  if (left[0] !== undefined && left[0].baseSha !== repository.branches.get(branch))
    await reformBehind(world, left);
};

/** Merges groups whose required checks are good, and drops those with a bad one, from the front. */
const advanceQueue = async (world: World, repository: Repository): Promise<void> => {
  for (const [branch, protection] of repository.protections) {
    await followMoves(world, repository, branch);
    if (!protection.mergeQueue || protection.requiredChecks.length === 0) continue;
    for (let front = queueOf(world, repository, branch)[0]; front !== undefined; ) {
      const { state } = judgeRequiredChecks(world, repository, { branch, sha: front.groupSha });
      if (state === 'open') break;
      if (state === 'good') await mergeGroup(world, front);
      else await failGroup(world, front);
      front = queueOf(world, repository, branch)[0];
    }
  }
};

export const advanceQueues = async (world: World): Promise<void> => {
  for (const repository of world.repositories.values()) await advanceQueue(world, repository);
};
