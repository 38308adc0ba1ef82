// Failures that are tried again, and the changes that showed them; what no builder offered.
import type { AskedOfBuilder, Hindrances } from '@eka-ci/core/hindrances';
import type { ChangeListing, ClearedFailures, FailuresToClear, UnsatisfiableChange } from '../database.ts';
import { listedColumns, listingOf } from './changes.ts';
import { forgetCheckAnswers } from './check-runs.ts';
import { insertRows, type Session, type SqlRow, selectIn, takeNumbers } from './session.ts';

export interface FailureCalls {
  clearFailures(which: FailuresToClear): Promise<ClearedFailures>;
  offerChanged(): Promise<readonly UnsatisfiableChange[]>;
}

/** Came to rest without being built. What the death of a server cut short is taken up again anyway. */
const unbuilt =
  `b.state in ('failed', 'dependency-failed', 'unsatisfiable', 'interrupted') ` +
  `and (b.cause is null or b.cause <> 'scheduler-death')`;

const timeouts = `b.state = 'interrupted' and b.cause in ('timeout', 'max-duration', 'log-limit')`;

const idsOf = (rows: readonly SqlRow[]): number[] => rows.map(({ id }) => Number(id));

/** What failed by itself, of what was asked for. */
const findOwnFailures = async (session: Session, { drvs, failuresOf }: FailuresToClear) => {
  if (drvs === 'all') {
    const failed = await session.run(`select b.drv_id as id from builds b where b.state = 'failed'`, []);
    const timedOut = await session.run(`select b.drv_id as id from builds b where ${timeouts}`, []);
    return new Set([...idsOf(failed), ...idsOf(timedOut)]);
  }
  const behind = `case when b.state = 'failed' or b.culprit_id is null then b.drv_id else b.culprit_id end`;
  const named = await selectIn(
    session,
    `select ${behind} as id from derivations d join builds b on b.drv_id = d.id where d.path in ($list) and ${unbuilt}`,
    [...new Set(drvs)],
  );
  const shown =
    failuresOf === undefined
      ? []
      : await session.run('select drv_id as id from change_failures where change_id = $1', [failuresOf]);
  return new Set([...idsOf(named), ...idsOf(shown)]);
};

/** @returns those that were not cleared before */
const clearRows = async (session: Session, own: ReadonlySet<number>): Promise<number[]> => {
  const byThem = await selectIn(
    session,
    'select b.drv_id as id from builds b where b.culprit_id in ($list)',
    [...own],
  );
  return idsOf(
    await selectIn(
      session,
      `update builds as b set cleared_sequence = b.sequence where b.drv_id in ($list) and ${unbuilt} ` +
        'and coalesce(b.cleared_sequence, 0) < b.sequence returning drv_id as id',
      [...new Set([...own, ...idsOf(byThem)])],
    ),
  );
};

/** Branches and baselines that are not superseded or closed; who submitted something by hand has had the answer. */
const findShowing = async (session: Session, drvIds: readonly number[]): Promise<string[]> => {
  const rows = await selectIn(
    session,
    'select distinct c.id from change_failures f join changes c on c.id = f.change_id where f.drv_id in ($list) ' +
      `and c.kind in ('branch', 'baseline', 'offered', 'group') and c.state in ('queued', 'judging', 'judged')`,
    drvIds,
  );
  return [...new Set(rows.map(({ id }) => String(id)))];
};

const listChanges = async (session: Session, ids: readonly string[]): Promise<ChangeListing[]> => {
  const found: { readonly listing: ChangeListing; readonly sequence: number }[] = [];
  for (let at = 0; at < ids.length; at += 256) {
    const rows = await session.kysely
      .selectFrom('changes')
      .select([...listedColumns, 'sequence'])
      .where('id', 'in', ids.slice(at, at + 256))
      .where('state', 'in', ['queued', 'judging', 'judged', 'failed'])
      .execute();
    found.push(...rows.map((row) => ({ listing: listingOf(row), sequence: row.sequence })));
  }
  return found.toSorted((a, b) => a.sequence - b.sequence).map(({ listing }) => listing);
};

/** In their order, behind all that waits. What is queued or being judged stays as it is. */
const queueAll = async (
  session: Session,
  changes: readonly ChangeListing[],
  atMs: number,
): Promise<ChangeListing[]> => {
  const queued: ChangeListing[] = [];
  for (const change of changes) {
    if (change.state === 'queued' || change.state === 'judging') {
      queued.push(change);
      continue;
    }
    const row = await session.kysely
      .updateTable('changes')
      .set({
        state: 'queued',
        sequence: await takeNumbers(session, 'change', 1),
        fault: null,
        faults: 0,
        retry_at_ms: null,
        updated_at_ms: atMs,
      })
      .where('id', '=', change.id)
      .returning(listedColumns)
      .executeTakeFirstOrThrow();
    queued.push(listingOf(row));
  }
  return queued;
};

const clearFailures = async (session: Session, which: FailuresToClear): Promise<ClearedFailures> => {
  // The locks come before the look: no step of a build and no end of a judgement falls between the two.
  await takeNumbers(session, 'transition', 0);
  await takeNumbers(session, 'change', 0);
  const own = await findOwnFailures(session, which);
  const cleared = await clearRows(session, own);
  if (cleared.length > 0) {
    await session.run(`update changes set failures_cleared = 1 where state = 'judging'`, []);
  }
  const showing = cleared.length === 0 ? [] : await findShowing(session, [...new Set([...own, ...cleared])]);
  const asked = which.askedOf === undefined ? [] : [which.askedOf];
  for (const id of asked) await forgetCheckAnswers(session, id, null);
  const changes = await listChanges(session, [...new Set([...showing, ...asked])]);
  return { cleared: cleared.length, changes: await queueAll(session, changes, which.atMs) };
};

const offerChanged = async (session: Session): Promise<readonly UnsatisfiableChange[]> => {
  await takeNumbers(session, 'change', 0);
  await session.run(`update changes set offer_changed = 1 where state = 'judging'`, []);
  const rows = await session.run(
    `select id, unsatisfiable from changes where unsatisfiable is not null and state = 'judged' ` +
      `and kind in ('branch', 'baseline', 'offered', 'group') order by id`,
    [],
  );
  return rows.map((row) => ({
    id: String(row['id']),
    // The edge: `finish` wrote it (leases.ts).
    asked: JSON.parse(String(row['unsatisfiable'])) as readonly AskedOfBuilder[],
  }));
};

/** In place of those of an earlier judgement. */
export const keepFailures = async (
  session: Session,
  changeId: string,
  { failures }: Pick<Hindrances, 'failures'>,
): Promise<void> => {
  await session.run('delete from change_failures where change_id = $1', [changeId]);
  const known = await selectIn(session, 'select id from derivations where path in ($list)', failures);
  const rows = [...new Set(idsOf(known))].map((id) => [changeId, id]);
  await insertRows(session, { table: 'change_failures', columns: ['change_id', 'drv_id'] }, rows);
};

/** Of changes that are removed, or that nobody judges again. */
export const forgetFailures = async (session: Session, changeIds: readonly string[]): Promise<void> => {
  await selectIn(session, 'delete from change_failures where change_id in ($list)', changeIds);
};

/** Whether one of these was cleared, and not tried since. */
export const isAnyCleared = async (
  session: Session,
  { failures }: Pick<Hindrances, 'failures'>,
): Promise<boolean> => {
  const rows = await selectIn(
    session,
    'select b.drv_id as id from derivations d join builds b on b.drv_id = d.id ' +
      'where d.path in ($list) and b.cleared_sequence >= b.sequence',
    failures,
  );
  return rows.length > 0;
};

export const failureCalls = (session: Session): FailureCalls => ({
  clearFailures: (which) => clearFailures(session, which),
  offerChanged: () => offerChanged(session),
});
