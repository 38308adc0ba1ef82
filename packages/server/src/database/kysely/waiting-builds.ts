// One step for every build that waits: after a crash there may be a hundred thousand, and no time to name each.
import { type Session, takeNumbers } from './session.ts';

/** The list is the partial index's own condition, word for word: else SQLite would read every build. */
export const unfinishedStates = `state in ('queued', 'buildable', 'building', 'unsatisfiable', 'interrupted')`;

const waiting = `${unfinishedStates} and state in ('queued', 'buildable')`;

const transitionColumns =
  'sequence, drv_id, attempt, from_state, to_state, cause, at_ms, culprit_id, message, log_file';

/** As `applyTransition` has it: what waits has neither start nor log, so that only these columns change. */
export const interruptWaiting = async (session: Session, atMs: number): Promise<number> => {
  // The lock comes before the look: states cannot change under it, and sequences follow commits.
  await takeNumbers(session, 'transition', 0);
  const [counted] = await session.run(`select count(*) as count from builds where ${waiting}`, []);
  const count = Number(counted?.['count'] ?? 0);
  if (count === 0) return 0;
  const first = await takeNumbers(session, 'transition', count);
  const step = `state, 'interrupted', 'scheduler-death', $2, null, null, null`;
  await session.run(
    `insert into build_transitions (${transitionColumns}) ` +
      `select $1 + row_number() over (order by drv_id), drv_id, attempt, ${step} from builds where ${waiting}`,
    [first - 1, atMs],
  );
  const columns = `state = 'interrupted', cause = 'scheduler-death', culprit_id = null, finished_at_ms = $1, message = null`;
  await session.run(
    `update builds set ${columns}, sequence = t.sequence from build_transitions t ` +
      'where t.sequence >= $2 and t.drv_id = builds.drv_id',
    [atMs, first],
  );
  return count;
};
