// What is done to a change under its lease; and how a judgement ends, where what hindered it may have gone meanwhile.
import { type Hindrances, noHindrances } from '@eka-ci/core/hindrances';
import type { ChangeListing, ChangeResult, Lease } from '../database.ts';
import { isAnyCleared, keepFailures } from './failures.ts';
import { keepPublications } from './publications.ts';
import { type Session, takeNumbers } from './session.ts';
import type { ChangeTable } from './tables.ts';

export const unleased = { lease_owner: null, lease_until_ms: null };

type ChangedColumns = Partial<{
  state: ChangeListing['state'];
  base_commit: string;
  judged_tree: string;
  title: string;
  conclusion: string;
  summary_json: string;
  markdown: string;
  fault: string | null;
  faults: number;
  retry_at_ms: number | null;
  unsatisfiable: string | null;
  sequence: number;
  updated_at_ms: number;
  lease_owner: string | null;
  lease_until_ms: number | null;
}>;

/** Changes what the lease is on; false when it is lost. */
export const underLease = async (
  session: Session,
  { id, owner }: Lease,
  set: ChangedColumns,
): Promise<boolean> => {
  const row = await session.kysely
    .updateTable('changes')
    .set(set)
    .where('id', '=', id)
    .where('state', '=', 'judging')
    .where('lease_owner', '=', owner)
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
};

const resultColumns = (result: ChangeResult): ChangedColumns => {
  switch (result.state) {
    case 'failed':
      return { state: 'failed', conclusion: result.conclusion, fault: result.fault, retry_at_ms: null };
    case 'judged':
      return {
        state: 'judged',
        fault: null,
        faults: 0,
        retry_at_ms: null,
        base_commit: result.base ?? '',
        judged_tree: result.judgedTree,
        title: result.title,
        conclusion: result.conclusion,
        summary_json: result.summaryJson,
        markdown: result.markdown,
      };
  }
};

const meanwhile = ['approved', 'offer_changed', 'failures_cleared'] as const;

/** Whether what hinders it went away while it was judged. */
const isJudgedAgain = async (
  session: Session,
  hindrances: Hindrances,
  { approved, offer_changed, failures_cleared }: Pick<ChangeTable, (typeof meanwhile)[number]>,
): Promise<boolean> =>
  (hindrances.awaitsApproval && approved === 1) ||
  (hindrances.unsatisfiable.length > 0 && offer_changed === 1) ||
  // Not what was cleared before: one that nobody tries, though it is shown, would have it judged for ever.
  (failures_cleared === 1 && (await isAnyCleared(session, hindrances)));

interface Ended {
  readonly result: ChangeResult;
  readonly atMs: number;
}

export const finish = async (session: Session, lease: Lease, { result, atMs }: Ended): Promise<boolean> => {
  // The lock comes before the look: what clears a failure or approves comes before, and is seen, or after the end.
  await takeNumbers(session, 'change', 0);
  const set = { ...resultColumns(result), updated_at_ms: atMs, ...unleased };
  if (result.state === 'failed') return underLease(session, lease, set);
  const held = await session.kysely
    .selectFrom('changes')
    .select(meanwhile)
    .where('id', '=', lease.id)
    .where('state', '=', 'judging')
    .where('lease_owner', '=', lease.owner)
    .executeTakeFirst();
  if (held === undefined) return false;
  const { hindrances = noHindrances, publications = [] } = result;
  const { unsatisfiable } = hindrances;
  await keepFailures(session, lease.id, hindrances);
  await keepPublications(session, { id: lease.id, atMs }, publications);
  const again = await isJudgedAgain(session, hindrances, held);
  return underLease(session, lease, {
    ...set,
    unsatisfiable: unsatisfiable.length === 0 ? null : JSON.stringify(unsatisfiable),
    ...(again ? { state: 'queued', sequence: await takeNumbers(session, 'change', 1) } : {}),
  });
};
