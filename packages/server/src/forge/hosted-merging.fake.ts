// What merging is at the hosted forge in memory: by its rules, unless a test says what becomes of it.
import type { MergeMethod } from '@eka-ci/core/comment-command';
import type { CommitSha } from '@eka-ci/core/ids';
import type { OfferedChange } from './forge-event.ts';
import type {
  ChangedPaths,
  HostedMerging,
  MergeOutcome,
  MergeRules,
  QueuedGroup,
  QueueEntry,
} from './hosted-merging.ts';

/** `method` is null for the queue, which has its own. */
export interface FakeMerge {
  readonly repository: string;
  readonly method: MergeMethod | null;
}

/** To be changed by the test. */
export interface FakeMerging {
  mergeRulesOf: (repository: string, baseBranch: string) => MergeRules;
  /**
   * What becomes of a merge, and of an entry into the queue, where the head is the one that is meant; `merged` closes the
   * change. @default what the rules say
   */
  merging: (what: 'merge' | 'enqueue', change: OfferedChange | undefined, how: FakeMerge) => MergeOutcome;
  /** By `owner/repo#number`. @default there are none */
  readonly diffs: Map<string, Omit<ChangedPaths, 'headSha'>>;
  /** What the merge queues have, as `owner/repo#number`. */
  readonly queued: Set<string>;
  /** What the merge queues tell, by `owner/repo branch`. @default nothing */
  readonly groups: Map<string, QueuedGroup>;
}

interface FakeMergingDeps {
  readonly fake: () => FakeMerging;
  readonly repositoryOf: (
    name: string,
  ) =>
    | { readonly changes: Map<number, OfferedChange>; readonly branches: Map<string, CommitSha> }
    | undefined;
  readonly ask: (what: string, signal: AbortSignal) => Promise<void>;
}

/** As forges have it. */
export const judgeMerge = (
  { mergeRulesOf }: Pick<FakeMerging, 'mergeRulesOf'>,
  change: OfferedChange,
  { repository, method }: FakeMerge,
): MergeOutcome => {
  const { methods, hasQueue } = mergeRulesOf(repository, change.baseBranch);
  const refused = (says: string): MergeOutcome => ({ kind: 'refused', says });
  if (!change.isOpen) return refused('it is closed');
  if (change.isDraft) return refused('it is a draft');
  if (method === null) return hasQueue ? { kind: 'queued' } : refused('the branch has no merge queue');
  if (hasQueue) return refused('the branch takes changes through its merge queue');
  if (methods !== null && !methods.includes(method)) return refused(`${method} is not allowed here`);
  return { kind: 'merged', mergedAs: null };
};

export const createFakeMerging = ({ fake: forge, repositoryOf, ask }: FakeMergingDeps): HostedMerging => {
  const merged = new Map<string, MergeOutcome>();
  const changeOf = (repository: string, number: number) => repositoryOf(repository)?.changes.get(number);
  const decide = (how: FakeMerge, number: number, headSha: CommitSha): MergeOutcome => {
    const { repository, method } = how;
    const change = changeOf(repository, number);
    if (change === undefined) return { kind: 'gone' };
    if (change.headSha !== headSha) return { kind: 'head-moved' };
    const key = `${repository}#${number}`;
    const before = change.isOpen ? undefined : merged.get(key);
    if (before !== undefined) return before;
    const outcome = forge().merging(method === null ? 'enqueue' : 'merge', change, how);
    if (outcome.kind === 'queued') forge().queued.add(key);
    if (outcome.kind === 'merged') {
      merged.set(key, outcome);
      const place = repositoryOf(repository);
      place?.changes.set(number, { ...change, isOpen: false });
      if (place?.branches.has(change.baseBranch) === true)
        place.branches.set(change.baseBranch, outcome.mergedAs ?? headSha);
    }
    return outcome;
  };
  const entryOf = (repository: string, number: number, headSha: CommitSha): QueueEntry => {
    const change = changeOf(repository, number);
    if (change === undefined) return { kind: 'gone' };
    if (change.headSha !== headSha) return { kind: 'head-moved' };
    const key = `${repository}#${number}`;
    const before = change.isOpen ? undefined : merged.get(key);
    if (before?.kind === 'merged') return before;
    return { kind: forge().queued.has(key) ? 'queued' : 'not-queued' };
  };
  return {
    async mergeRules({ repository, baseBranch }, signal) {
      await ask(`rules ${repository} ${baseBranch}`, signal);
      return forge().mergeRulesOf(repository, baseBranch);
    },
    async merge({ repository, number }, { headSha, method }, signal) {
      await ask(`merge ${repository}#${number} ${headSha} ${method}`, signal);
      return decide({ repository, method }, number, headSha);
    },
    async enqueue({ repository, number }, { headSha }, signal) {
      await ask(`enqueue ${repository}#${number} ${headSha}`, signal);
      return decide({ repository, method: null }, number, headSha);
    },
    async findInQueue({ repository, number }, { headSha }, signal) {
      await ask(`queue ${repository}#${number} ${headSha}`, signal);
      return entryOf(repository, number, headSha);
    },
    async dequeue({ repository, number }, { headSha }, signal) {
      await ask(`dequeue ${repository}#${number} ${headSha}`, signal);
      if (entryOf(repository, number, headSha).kind === 'queued')
        forge().queued.delete(`${repository}#${number}`);
      return entryOf(repository, number, headSha);
    },
    isGroupBranch: (branch) => branch.startsWith('queue/'),
    async findGroup({ repository, branch }, headSha, signal) {
      await ask(`group ${repository} ${branch}`, signal);
      const group = forge().groups.get(`${repository} ${branch}`);
      return group?.headSha === headSha ? group : null;
    },
    async changedPaths({ repository, number }, signal) {
      await ask(`paths ${repository}#${number}`, signal);
      const change = changeOf(repository, number);
      if (change === undefined) return null;
      const diff = forge().diffs.get(`${repository}#${number}`) ?? { paths: [], isComplete: true };
      return { ...diff, headSha: change.headSha };
    },
  };
};
