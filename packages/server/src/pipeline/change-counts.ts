// How many changes wait and are judged, for those who ask often: read again when something has changed.
import type { Database } from '../database/database.ts';
import type { KeptRepository } from '../database/privacy.ts';

export interface ChangeCounts {
  /** @param maySee only those of these repositories. @default all */
  now(maySee?: (repository: string, repositoryId?: number) => boolean): {
    readonly queued: number;
    readonly judging: number;
  };
  /** Something has changed: they are read again, soon and once for many calls. */
  refresh(): void;
  /** Resolves when no reading is under way. */
  settled(): Promise<void>;
}

/** Counted up to this; who waits behind a thousand others does not ask for the number. */
const most = 1000;
const everyKind = ['branch', 'offered', 'group', 'baseline', 'submitted'] as const;

export const createChangeCounts = (database: Pick<Database, 'changes'>): ChangeCounts => {
  /** Of each change, its repository. */
  let counted: Readonly<Record<'queued' | 'judging', readonly KeptRepository[]>> = {
    queued: [],
    judging: [],
  };
  let reading: Promise<void> | null = null;
  let again = false;
  const count = async (state: 'queued' | 'judging'): Promise<KeptRepository[]> => {
    const { changes } = await database.changes.list({ kinds: everyKind, states: [state], limit: most });
    return changes.map(({ repository, repositoryId }) => ({
      repository,
      ...(repositoryId !== undefined && { repositoryId }),
    }));
  };
  const read = async (): Promise<void> => {
    do {
      again = false;
      counted = { queued: await count('queued'), judging: await count('judging') };
    } while (again);
  };
  const refresh = (): void => {
    again = true;
    // The old counts stay where the database does not answer: whoever needed it has said so.
    reading ??= read()
      .catch(() => {})
      .finally(() => {
        reading = null;
      });
  };
  const now: ChangeCounts['now'] = (maySee) => {
    const { queued, judging } = counted;
    const count = (of: readonly KeptRepository[]): number =>
      maySee === undefined
        ? of.length
        : of.filter(({ repository, repositoryId }) => maySee(repository, repositoryId)).length;
    return { queued: count(queued), judging: count(judging) };
  };
  return { now, refresh, settled: () => reading ?? Promise.resolve() };
};
