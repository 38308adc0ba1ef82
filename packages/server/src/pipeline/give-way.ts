// A baseline gives way to changes: what somebody waits for does not wait for what nobody does.
import type { ChangeListing, Database } from '../database/database.ts';

export interface Waiting {
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** Repositories whose changes cannot be judged now. */
  readonly notOf: readonly string[];
}

/** More than ever wait for another try at once. */
const looked = 1000;

/** Whether something could be judged in place of what is being judged. @throws DatabaseError */
export const mustGiveWay = async (
  { changes }: Pick<Database, 'changes'>,
  running: ChangeListing,
  { nowMs, notOf }: Waiting,
): Promise<boolean> => {
  if (running.kind !== 'baseline') return false;
  const query = { kinds: ['branch', 'submitted'], states: ['queued'], limit: looked } as const;
  const { changes: queued } = await changes.list(query);
  return queued.some(
    ({ repository, retryAtMs }) => !notOf.includes(repository) && (retryAtMs === null || retryAtMs <= nowMs),
  );
};
