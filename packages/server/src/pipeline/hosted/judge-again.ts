// Somebody wants a commit judged again: as one change, or as all that it is the head of.
import type { ChangeListing, Database } from '../../database/database.ts';
import type { HostedWork } from './hosted-work.ts';

export interface JudgeAgainDeps {
  readonly database: Pick<Database, 'changes' | 'checkRuns'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly onQueued: (queued: readonly ChangeListing[]) => void;
}

/**
 * Twice is as once: what is queued or being judged stays so.
 * @param repository under which its changes are kept
 * @returns whether anything is judged again @throws DatabaseError
 */
export const judgeAgain = async (
  { database, clock, onQueued }: JudgeAgainDeps,
  repository: string,
  { headSha, changeId, check }: Extract<HostedWork, { kind: 'again' }>,
): Promise<boolean> => {
  if (changeId !== null && check !== undefined) {
    const change = await database.changes.find(changeId);
    const isOfIt = change?.repository === repository && change.head === headSha;
    // Also while it is judged: that may not have come to it yet.
    if (isOfIt) await database.checkRuns.forgetAnswers(changeId, check);
  }
  const { changes } = await database.changes.list({
    repository,
    ...{ kinds: ['offered', 'group'], states: ['judged', 'failed'], limit: 1000 },
  });
  const wanted = changes.filter(({ id, head }) => head === headSha && (changeId === null || changeId === id));
  for (const { id } of wanted) {
    const which = { drvs: [], failuresOf: id, askedOf: id, atMs: clock() };
    const cleared = await database.changes.clearFailures(which);
    const queued = cleared.changes.filter(({ state }) => state === 'queued');
    if (queued.length > 0) onQueued(queued);
  }
  return wanted.length > 0;
};
