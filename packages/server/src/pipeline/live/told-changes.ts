// The changes of the database, with everything that moves one told to those who follow it live, whoever moves it.
import { z } from 'zod';
import type {
  BranchUpdate,
  ChangeListing,
  Changes,
  DeliveredUpdate,
  StoredChange,
} from '../../database/database.ts';
import type { LiveFeed } from './live-feed.ts';

/** As much of a stored summary as is told. */
const judgedJobs = z.object({
  jobs: z.array(z.object({ job: z.string(), conclusion: z.string(), headline: z.string() })),
});

type ChangesFeed = Pick<LiveFeed, 'isFollowed' | 'followsJobsOf' | 'changeMoved' | 'jobsJudged'>;

const tellJobs = (feed: ChangesFeed, change: StoredChange): void => {
  if (change.state !== 'judged' || change.summaryJson === null) return;
  // A summary may have ten MiB: it is not taken apart for nobody.
  if (!feed.followsJobsOf(change)) return;
  const parsed = judgedJobs.safeParse(JSON.parse(change.summaryJson));
  if (parsed.success) feed.jobsJudged(change, parsed.data.jobs);
};

/** What an update may supersede or close of what is offered: a repository may have thousands of those. */
const openOffers = async (changes: Changes, updates: readonly BranchUpdate[]): Promise<ChangeListing[]> => {
  const found: ChangeListing[] = [];
  for (const update of updates) {
    const offer = 'number' in update ? await changes.findByNumber(update.repository, update.number) : null;
    if (offer !== null) found.push(offer);
  }
  return found;
};

/** The changes that an update may supersede or close: open ones of the same branches, or of the same numbers. */
const openOf = async (changes: Changes, updates: readonly DeliveredUpdate[]): Promise<ChangeListing[]> => {
  const found: ChangeListing[] = [];
  for (const repository of new Set(updates.map(({ update }) => update.repository))) {
    const ofIt = updates.map(({ update }) => update).filter((update) => update.repository === repository);
    found.push(...(await openOffers(changes, ofIt)));
    const branches = ofIt.flatMap((update) => ('number' in update ? [] : [update.branch]));
    if (branches.length === 0) continue;
    const page = await changes.list({
      repository,
      kinds: ['branch', 'baseline', 'group'],
      states: ['queued', 'judging', 'judged', 'failed'],
      limit: 1000,
    });
    found.push(...page.changes.filter(({ branch }) => branches.includes(branch)));
  }
  return found;
};

interface ToldChangesDeps {
  readonly changes: Changes;
  readonly feed: ChangesFeed;
  /** A change has moved, and could not be looked up. */
  readonly onFault: (error: unknown) => void;
}

/** Looks up what has moved, where somebody follows changes. */
const createLooks = ({ changes, feed, onFault }: ToldChangesDeps) => {
  const look = async <Found>(work: () => Promise<Found>): Promise<Found | null> => {
    if (!feed.isFollowed()) return null;
    try {
      return await work();
    } catch (error) {
      onFault(error);
      return null;
    }
  };
  return {
    beforeApplying: (updates: readonly DeliveredUpdate[]) => look(() => openOf(changes, updates)),
    async tellReplaced(before: readonly ChangeListing[]): Promise<void> {
      for (const { id, state } of before) {
        const now = await look(() => changes.find(id));
        if (now !== null && now.state !== state) feed.changeMoved(now);
      }
    },
    /** @returns `hasMoved` */
    async tellStored(hasMoved: boolean, id: string): Promise<boolean> {
      const change = hasMoved ? await look(() => changes.find(id)) : null;
      if (change === null) return hasMoved;
      // Who waits for the end of the change has heard of its jobs by then.
      tellJobs(feed, change);
      feed.changeMoved(change);
      return hasMoved;
    },
  };
};

type Looks = ReturnType<typeof createLooks>;

/** Calls that say whether something has moved, but not what it is now. */
const toldUnderLease = (
  changes: Changes,
  looks: Looks,
): Pick<Changes, 'release' | 'finish' | 'retryLater'> => ({
  release: async (lease, atMs) => looks.tellStored(await changes.release(lease, atMs), lease.id),
  finish: async (lease, result, atMs) =>
    looks.tellStored(await changes.finish(lease, result, atMs), lease.id),
  retryLater: async (lease, retry) => looks.tellStored(await changes.retryLater(lease, retry), lease.id),
});

/** Calls that give back what has moved. */
const toldAtOnce = (
  changes: Changes,
  feed: ChangesFeed,
): Pick<Changes, 'claimNext' | 'submit' | 'cancel' | 'requeue' | 'clearFailures'> => ({
  async claimNext(claim) {
    const claimed = await changes.claimNext(claim);
    if (claimed !== null) feed.changeMoved(claimed);
    return claimed;
  },
  async submit(submission) {
    const submitted = await changes.submit(submission);
    if (submitted.isNew) feed.changeMoved(submitted.change);
    return submitted;
  },
  async cancel(id, atMs) {
    const cancelled = await changes.cancel(id, atMs);
    if (cancelled?.ended === true) feed.changeMoved(cancelled.change);
    return cancelled;
  },
  async requeue(id, again) {
    const requeued = await changes.requeue(id, again);
    if (requeued !== null) feed.changeMoved(requeued);
    return requeued;
  },
  async clearFailures(which) {
    const cleared = await changes.clearFailures(which);
    for (const change of cleared.changes) feed.changeMoved(change);
    return cleared;
  },
});

/**
 * The same changes; after each call that moved some, `feed` hears of them before the caller does. Where nobody follows
 * changes nothing is looked up. What cannot be looked up is not told: the call itself has done its work by then.
 */
export const tellChanges = (deps: ToldChangesDeps): Changes => {
  const { changes, feed } = deps;
  const looks = createLooks(deps);
  return {
    ...changes,
    ...toldUnderLease(changes, looks),
    ...toldAtOnce(changes, feed),
    async apply(updates, atMs) {
      const before = updates.length === 0 ? null : await looks.beforeApplying(updates);
      const applied = await changes.apply(updates, atMs);
      if (before !== null) await looks.tellReplaced(before);
      for (const { queued } of applied) if (queued !== null) feed.changeMoved(queued);
      return applied;
    },
  };
};
