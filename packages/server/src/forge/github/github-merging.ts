// GitHub's part in merging.
import type { HostedMerging } from '../hosted-merging.ts';
import { listChangedFiles } from './changes.ts';
import type { Speak } from './github-apps.ts';
import { dequeueChange, enqueueChange, findInQueue, hasMergeQueue, mergeChange } from './merge.ts';
import { findQueuedGroup, isGroupBranch } from './merge-groups.ts';
import { findRepository } from './repositories.ts';

export const createGithubMerging = (speak: Speak): HostedMerging => ({
  async mergeRules(place, signal) {
    const { repository, baseBranch: branch } = place;
    const { client } = await speak(place, signal);
    const hasQueue = await hasMergeQueue(client, { repository, branch }, signal);
    const found = await findRepository(client, repository, signal);
    return { methods: found?.mergeMethods ?? null, hasQueue };
  },
  async merge(place, what, signal) {
    const { repository, number } = place;
    const { client } = await speak(place, signal);
    return mergeChange(client, { repository, number, ...what }, signal);
  },
  async enqueue(place, what, signal) {
    const { repository, number } = place;
    const { client } = await speak(place, signal);
    return enqueueChange(client, { repository, number, ...what }, signal);
  },
  async findInQueue(place, what, signal) {
    const { repository, number } = place;
    const { client } = await speak(place, signal);
    return findInQueue(client, { repository, number, ...what }, signal);
  },
  async dequeue(place, what, signal) {
    const { repository, number } = place;
    const { client } = await speak(place, signal);
    return dequeueChange(client, { repository, number, ...what }, signal);
  },
  isGroupBranch,
  async findGroup({ repository, branch }, headSha, signal) {
    const { client } = await speak({ repository, baseBranch: null }, signal);
    return findQueuedGroup(client, { repository, branch, headSha }, signal);
  },
  async changedPaths(place, signal) {
    const { repository, number } = place;
    const { client } = await speak(place, signal);
    return listChangedFiles(client, { repository, number }, signal);
  },
});
