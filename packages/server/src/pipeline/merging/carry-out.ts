// One merge that was asked for: what is to be done for it now, and doing it. Each step is a row before and after it, so
// that it is taken up wherever the power went.
import type { MergeMethod } from '@eka-ci/core/comment-command';
import type {
  ChangeListing,
  ChangeState,
  Database,
  EndedMergeState,
  MergeTelling,
  StoredMerge,
} from '../../database/database.ts';
import type { HostedForge } from '../../forge/hosted-forge.ts';
import type { MergeOutcome } from '../../forge/hosted-merging.ts';
import { chooseStep } from './choose-step.ts';
import {
  droppedTelling,
  mergedTelling,
  methodTelling,
  movedTelling,
  refusedTelling,
  retargetedTelling,
  silent,
} from './merge-words.ts';

export type MergeEvent = {
  readonly kind: 'asked' | 'merging' | 'queued' | 'told' | EndedMergeState;
  readonly merge: Pick<StoredMerge, 'id' | 'repository' | 'number' | 'headSha'>;
};

export interface CarryOutDeps {
  readonly database: Pick<Database, 'changes' | 'merges'>;
  readonly defaultMethod: MergeMethod;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Whether reviewers have approved what they must; asked where the merge needs it. @throws DatabaseError */
  readonly isApproved: (change: ChangeListing, signal: AbortSignal) => Promise<boolean>;
  readonly onEvent: (event: MergeEvent) => void;
}

/** Of one merge. */
export interface MergeWork {
  readonly merge: StoredMerge;
  readonly forge: HostedForge;
  /** `owner/repo` */
  readonly repository: string;
  /** Whether to ask what the forge's queue has: a question that nobody has to ask at each turn. */
  readonly looksInQueue: boolean;
  readonly signal: AbortSignal;
}

/** Whether it waits for something that nobody tells: asked again after a rest. `fault`: for people. */
export type CarriedOut =
  | { readonly kind: 'done' }
  | { readonly kind: 'again'; readonly fault: string | null };

/** Between the forge's clock and ours. */
const clockSkewMs = 10 * 60_000;

const done: CarriedOut = { kind: 'done' };
/** What the forge told of it is not known here yet. */
const again: CarriedOut = { kind: 'again', fault: null };

/** Without `superseded` there is one row of each number. */
const newestStates: readonly ChangeState[] = [
  'awaiting-approval',
  'queued',
  'judging',
  'judged',
  'failed',
  'closed',
];

/** Without its texts, which may be long. */
export const findListing = async (
  { database }: Pick<CarryOutDeps, 'database'>,
  { repository, number }: Pick<StoredMerge, 'repository' | 'number'>,
): Promise<ChangeListing | null> => {
  const { changes } = await database.changes.list({
    ...{ repository, branch: `pull/${number}`, kinds: ['offered'] },
    ...{ states: newestStates, limit: 1 },
  });
  return changes[0] ?? null;
};

const end = async (
  { database, clock, onEvent }: CarryOutDeps,
  merge: StoredMerge,
  ending: { readonly state: EndedMergeState; readonly telling: MergeTelling },
): Promise<CarriedOut> => {
  const isEnded = await database.merges.end(merge.id, { ...ending, atMs: clock() });
  if (isEnded) onEvent({ kind: ending.state, merge });
  return done;
};

const settle = async (deps: CarryOutDeps, work: MergeWork, outcome: MergeOutcome): Promise<CarriedOut> => {
  const { merge, forge, repository, signal } = work;
  const { database, clock, onEvent } = deps;
  switch (outcome.kind) {
    case 'merged':
      return end(deps, merge, { state: 'merged', telling: mergedTelling });
    case 'queued':
      if (await database.merges.step(merge.id, 'queued', clock())) onEvent({ kind: 'queued', merge });
      return done;
    case 'base-moved':
      return { kind: 'again', fault: 'the branch moved at that moment' };
    case 'refused':
      return end(deps, merge, { state: 'refused', telling: refusedTelling(outcome.says) });
    case 'gone':
      return end(deps, merge, { state: 'closed', telling: silent });
    case 'head-moved': {
      const change = await forge.findChange(repository, merge.number, signal);
      if (change === null) return end(deps, merge, { state: 'closed', telling: silent });
      // What it answered is older than what it merges by.
      if (change.headSha === merge.headSha) return again;
      return end(deps, merge, { state: 'moved', telling: movedTelling(merge.headSha, change.headSha) });
    }
  }
};

/** It is closed: perhaps because we merged it, or the queue that we put it into did. */
const findOut = async (deps: CarryOutDeps, work: MergeWork): Promise<CarriedOut> => {
  const { merge: asked, forge, repository, signal } = work;
  const { state, headSha, number, baseBranch } = asked;
  if (state === 'pending') return end(deps, asked, { state: 'closed', telling: silent });
  const method = asked.method ?? deps.defaultMethod;
  const outcome = await forge.merge({ repository, number, baseBranch }, { headSha, method }, signal);
  if (outcome.kind === 'merged') return settle(deps, work, outcome);
  return end(deps, asked, { state: 'closed', telling: silent });
};

/** By the forge itself. @returns null where it is open, and as it was when it was asked for */
const findOther = async (deps: CarryOutDeps, work: MergeWork): Promise<CarriedOut | null> => {
  const { merge: asked, forge, repository, signal } = work;
  const change = await forge.findChange(repository, asked.number, signal);
  if (change === null) return end(deps, asked, { state: 'closed', telling: silent });
  const { headSha, baseBranch, isOpen } = change;
  if (!isOpen) {
    if (headSha === asked.headSha) return findOut(deps, work);
    return end(deps, asked, { state: 'closed', telling: silent });
  }
  if (headSha !== asked.headSha) {
    return end(deps, asked, { state: 'moved', telling: movedTelling(asked.headSha, headSha) });
  }
  // Its diff is another one there, and whoever asked may have no right to that.
  if (baseBranch !== asked.baseBranch) {
    return end(deps, asked, { state: 'moved', telling: retargetedTelling(asked.baseBranch, baseBranch) });
  }
  return null;
};

/** A queue merges what it lets go, and both are not shown at one moment: it is looked at twice. */
const leftQueue = 'the merge queue does not have it any more';

const lookInQueue = async (deps: CarryOutDeps, work: MergeWork): Promise<CarriedOut> => {
  const { merge: asked, forge, repository, signal } = work;
  const { number, baseBranch, headSha, fault } = asked;
  if (!work.looksInQueue && fault !== leftQueue) return done;
  const entry = await forge.findInQueue({ repository, number, baseBranch }, { headSha }, signal);
  if (entry.kind === 'queued') {
    // Somebody has put it back.
    if (fault === leftQueue) await deps.database.merges.step(asked.id, 'queued', deps.clock());
    return done;
  }
  if (entry.kind !== 'not-queued') return settle(deps, work, entry);
  const other = await findOther(deps, work);
  if (other !== null) return other;
  if (fault !== leftQueue) return { kind: 'again', fault: leftQueue };
  return end(deps, asked, { state: 'refused', telling: droppedTelling(baseBranch) });
};

/** Pinned to its head: the forge itself refuses any other. It does not pin the branch: that is looked at just before. */
const merge = async (deps: CarryOutDeps, work: MergeWork, change: ChangeListing): Promise<CarriedOut> => {
  const { forge, repository, signal } = work;
  const { id, number, headSha, baseBranch, needsReviews } = work.merge;
  if (needsReviews && !(await deps.isApproved(change, signal))) return done;
  const rules = await forge.mergeRules({ repository, baseBranch }, signal);
  const method = work.merge.method ?? deps.defaultMethod;
  if (!rules.hasQueue && rules.methods !== null && !rules.methods.includes(method)) {
    return end(deps, work.merge, { state: 'refused', telling: methodTelling(method, rules.methods) });
  }
  const other = await findOther(deps, work);
  if (other !== null) return other;
  // From here on nobody knows what became of it, but the forge.
  if (!(await deps.database.merges.step(id, 'merging', deps.clock()))) return done;
  deps.onEvent({ kind: 'merging', merge: work.merge });
  const place = { repository, number, baseBranch };
  const outcome = rules.hasQueue
    ? await forge.enqueue(place, { headSha }, signal)
    : await forge.merge(place, { headSha, method }, signal);
  return settle(deps, work, outcome);
};

/** Idempotent. @throws HostedForgeFault, DatabaseError; the signal's reason */
export const carryOut = async (deps: CarryOutDeps, work: MergeWork): Promise<CarriedOut> => {
  const change = await findListing(deps, work.merge);
  const step = chooseStep(work.merge, change);
  switch (step.kind) {
    case 'wait':
      return done;
    case 'merge':
      return change === null ? done : merge(deps, work, change);
    case 'look-in-queue':
      return lookInQueue(deps, work);
    case 'look':
      // Open, and as it was asked for: what the forge tells of that is on its way to us.
      return (await findOther(deps, work)) ?? again;
  }
};

/** The reaction first, then the reply; both idempotent at the forge. @throws HostedForgeFault, DatabaseError */
export const tellEnd = async (deps: CarryOutDeps, work: MergeWork): Promise<void> => {
  const { merge: ended, forge, repository, signal } = work;
  const { number, commentId, telling, id, askedAtMs } = ended;
  const change = await findListing(deps, ended);
  const place = { repository, number, baseBranch: change?.baseBranch ?? null };
  const { reaction = null, reply = null } = telling ?? {};
  const isThere =
    commentId === null || reaction === null || (await forge.react(place, { commentId, reaction }, signal));
  // Whoever took their comment back is not answered.
  if (reply !== null && isThere) {
    const key = commentId === null ? `merge-asked:${id}` : `merge:${commentId}`;
    await forge.putComment(
      place,
      { key, text: reply, sinceMs: askedAtMs - clockSkewMs },
      { id: null, signal },
    );
  }
  await deps.database.merges.told(id, deps.clock());
  deps.onEvent({ kind: 'told', merge: ended });
};
