// When a base branch has moved and was judged: the changes that this concerns are judged again, the others are left.
import { type ComparedSummary, summariesOverlap } from '@eka-ci/core/change-summary/overlap';
import { ChangeSummary } from '@eka-ci/protocol/change-summary';
import type { ChangeListing, Database, StoredChange } from '../database/database.ts';
import type { ForgeRepository } from '../forge/forge.ts';
import type { HostedForge } from '../forge/hosted-forge.ts';
import { hostedOf } from './change-request.ts';
import { wasJudged } from './was-judged.ts';

export interface MovedBaseDeps {
  readonly database: Pick<Database, 'changes'>;
  readonly repositories: readonly Pick<ForgeRepository, 'name' | 'baseBranch'>[];
  /** @default none */
  readonly hosted?: readonly HostedForge[];
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Told of what waits to be judged again. */
  readonly onRequeued: (changes: readonly ChangeListing[]) => void;
  /** The database did not answer: what was not done is done at the next move, or the next start. */
  readonly onFault: (error: unknown) => void;
}

export interface MovedBases {
  /** A baseline was judged. */
  judged(baseline: ChangeListing): void;
  /** What an earlier server may have left undone; doing it twice changes nothing. */
  resume(): void;
  /** Resolves when nothing of it runs any more. */
  settled(): Promise<void>;
}

const readSummary = ({ summaryJson }: StoredChange): ComparedSummary | null =>
  summaryJson === null ? null : (ChangeSummary.safeParse(JSON.parse(summaryJson)).data ?? null);

/**
 * Whether a change has to be judged against a base that has moved. Pure.
 * @param moved what the move changed
 */
const isConcerned = (change: StoredChange, base: ChangeListing['head'], moved: ComparedSummary) => {
  // It was judged with that base already: also the second time that it is asked.
  if (change.base === base) return false;
  // Another base may be what it no longer conflicts with; to see that takes one trial merge.
  if (change.state === 'failed') return change.fault?.startsWith('MERGE_CONFLICT:') === true;
  if (change.state !== 'judged') return false;
  const summary = readSummary(change);
  // One that this version cannot read tells nothing.
  return summary === null || summariesOverlap(summary, moved);
};

/** Every change of a list, page by page. */
const listAll = async function* (
  { database }: Pick<MovedBaseDeps, 'database'>,
  query: Pick<Parameters<Database['changes']['list']>[0], 'repository' | 'branch' | 'kinds' | 'states'>,
): AsyncGenerator<ChangeListing> {
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: Awaited<ReturnType<typeof database.changes.list>> = await database.changes.list({
      ...query,
      limit: 200,
      ...(cursor === '' ? {} : { cursor }),
    });
    yield* page.changes;
    cursor = page.nextCursor;
  }
};

/**
 * Queues again what the move of a judged baseline concerns. Nothing for the first sight of a branch: nobody knows what
 * it was before. @throws DatabaseError
 */
export const judgeAgain = async (deps: MovedBaseDeps, id: string): Promise<readonly ChangeListing[]> => {
  const { changes } = deps.database;
  const baseline = await changes.find(id);
  // A newer tip may have taken its place by now: that one's difference begins where this one ended.
  if (baseline === null || !wasJudged(baseline) || baseline.base === null) return [];
  const { repository, branch, head } = baseline;
  const isHosted = hostedOf(deps, repository) !== null;
  // All changes of a configured repository join one branch: other baselines are nobody's base.
  if (
    !isHosted &&
    !deps.repositories.some(({ name, baseBranch }) => name === repository && baseBranch === branch)
  ) {
    return [];
  }
  const moved = readSummary(baseline);
  if (moved === null) return [];
  const requeued: ChangeListing[] = [];
  for await (const { id: changeId } of listAll(deps, { repository, states: ['judged', 'failed'] })) {
    const change = await changes.find(changeId);
    if (change === null || (isHosted && change.baseBranch !== branch)) continue;
    if (!isConcerned(change, head, moved)) continue;
    const again = await changes.requeue(changeId, { atMs: deps.clock(), base: head });
    if (again !== null) requeued.push(again);
  }
  return requeued;
};

const newestJudged = async (
  deps: MovedBaseDeps,
  { name, baseBranch }: MovedBaseDeps['repositories'][number],
): Promise<ChangeListing | null> => {
  const tips = listAll(deps, { repository: name, kinds: ['baseline'], branch: baseBranch });
  for await (const baseline of tips) if (wasJudged(baseline)) return baseline;
  return null;
};

/** One after the other, beside the judging. */
export const createMovedBases = (deps: MovedBaseDeps): MovedBases => {
  let work: Promise<void> = Promise.resolve();
  const enqueue = (step: () => Promise<readonly ChangeListing[]>): void => {
    work = work
      .then(step)
      .then((requeued) => {
        if (requeued.length > 0) deps.onRequeued(requeued);
      })
      .catch(deps.onFault);
  };
  return {
    judged: ({ id }) => enqueue(() => judgeAgain(deps, id)),
    resume() {
      for (const repository of deps.repositories) {
        enqueue(async () => {
          const baseline = await newestJudged(deps, repository);
          return baseline === null ? [] : judgeAgain(deps, baseline.id);
        });
      }
    },
    settled: () => work,
  };
};
