// Attempts that said something of their derivation: it was built, or it failed. What was cleared says nothing any more.
import type { BuildCause } from '@eka-ci/core/build-state';
import type { BuildAnswer } from '@eka-ci/core/flaky';
import type { DrvPath } from '@eka-ci/core/ids';
import { type Session, selectIn } from './session.ts';

/** By derivation, oldest first; those that have none are left out. */
export const answersOf = async (
  session: Session,
  paths: readonly string[],
): Promise<Map<DrvPath, BuildAnswer[]>> => {
  const rows = await selectIn(
    session,
    'select d.path as drv, t.sequence, t.attempt, t.to_state, t.cause, t.log_file from derivations d ' +
      'join build_transitions t on t.drv_id = d.id join builds b on b.drv_id = d.id ' +
      `where d.path in ($list) and t.to_state in ('succeeded', 'failed') ` +
      'and t.sequence > coalesce(b.cleared_sequence, 0) order by t.sequence',
    [...new Set(paths)],
  );
  const answers = new Map<DrvPath, BuildAnswer[]>();
  for (const row of rows) {
    // The edge: the columns hold what BuildTransition's types let in, nothing else writes.
    const drv = row['drv'] as DrvPath;
    const known = answers.get(drv) ?? [];
    known.push({
      attempt: Number(row['attempt']),
      state: row['to_state'] === 'succeeded' ? 'succeeded' : 'failed',
      cause: row['cause'] as BuildCause | null,
      logFile: row['log_file'] === null ? null : String(row['log_file']),
    });
    answers.set(drv, known);
  }
  return answers;
};
