// Builds: the current state by derivation, and the history that led there.
import type { BuildCause, BuildState } from '@eka-ci/core/build-state';
import type { BuildAnswer } from '@eka-ci/core/flaky';
import type { DrvPath } from '@eka-ci/core/ids';
import type { BuildAttempt, Builds, BuildTransition, RecordedTransition, StoredBuild } from '../database.ts';
import { DatabaseError, StaleTransitionError } from '../database-error.ts';
import { answersOf } from './build-answers.ts';
import { applyTransition } from './build-row.ts';
import { learnFromBuilds, type RecordedBuild } from './package-builds.ts';
import { insertRows, type Session, type SqlRow, type SqlValue, selectIn, takeNumbers } from './session.ts';
import { interruptWaiting, unfinishedStates } from './waiting-builds.ts';

export interface BuildCalls {
  /** The sequence of the first transition; the others follow it. */
  recordTransitions(transitions: readonly BuildTransition[]): Promise<number>;
  statesOf(paths: readonly string[]): Promise<readonly StoredBuild[]>;
  readonly endedSince: Builds['endedSince'];
  answersOf(paths: readonly string[]): Promise<ReadonlyMap<DrvPath, readonly BuildAnswer[]>>;
  historyOf(path: string): Promise<readonly RecordedTransition[]>;
  unfinished(which: { readonly started: boolean }): Promise<readonly StoredBuild[]>;
  interruptWaiting(atMs: number): Promise<number>;
  eventsSince(sequence: number, limit: number): Promise<readonly RecordedTransition[]>;
}

const text = (value: SqlValue | undefined): string | null => (typeof value === 'string' ? value : null);
const number = (value: SqlValue | undefined): number | null =>
  value === null || value === undefined ? null : Number(value);

// The casts of these three are the edge: the columns hold what BuildTransition's types let in, nothing else writes.
const drv = (value: SqlValue | undefined): DrvPath => value as DrvPath;
const state = (value: SqlValue | undefined): BuildState => value as BuildState;
const cause = (value: SqlValue | undefined): BuildCause | null => text(value) as BuildCause | null;

const buildOf = (row: SqlRow): StoredBuild => ({
  drv: drv(row['drv']),
  attempt: Number(row['attempt']),
  state: state(row['state']),
  cause: cause(row['cause']),
  startedAtMs: number(row['started_at_ms']),
  finishedAtMs: number(row['finished_at_ms']),
  culprit: text(row['culprit']) as DrvPath | null,
  message: text(row['message']),
  logFile: text(row['log_file']),
  sequence: Number(row['sequence']),
  cleared: Number(row['cleared']) === 1,
});

const transitionOf = (row: SqlRow): RecordedTransition => ({
  sequence: Number(row['sequence']),
  drv: drv(row['drv']),
  attempt: Number(row['attempt']),
  from: row['from_state'] === null ? null : state(row['from_state']),
  to: state(row['to_state']),
  cause: cause(row['cause']),
  atMs: Number(row['at_ms']),
  culprit: text(row['culprit']) as DrvPath | null,
  message: text(row['message']),
  logFile: text(row['log_file']),
});

const selectBuilds =
  'select d.path as drv, b.attempt, b.state, b.cause, b.started_at_ms, b.finished_at_ms, c.path as culprit, ' +
  'b.message, b.log_file, b.sequence, ' +
  'case when b.cleared_sequence >= b.sequence then 1 else 0 end as cleared from builds b join derivations d on d.id = b.drv_id ' +
  'left join derivations c on c.id = b.culprit_id';

const selectTransitions =
  'select t.sequence, d.path as drv, t.attempt, t.from_state, t.to_state, t.cause, t.at_ms, c.path as culprit, ' +
  't.message, t.log_file from build_transitions t join derivations d on d.id = t.drv_id ' +
  'left join derivations c on c.id = t.culprit_id';

const statesOf = async (session: Session, paths: readonly string[]): Promise<StoredBuild[]> =>
  (await selectIn(session, `${selectBuilds} where d.path in ($list)`, paths)).map(buildOf);

const idsByPath = async (session: Session, steps: readonly BuildTransition[]) => {
  const paths = new Set<DrvPath>();
  for (const step of steps) {
    paths.add(step.drv);
    if (step.culprit !== null) paths.add(step.culprit);
  }
  const rows = await selectIn(session, 'select id, path from derivations where path in ($list)', [...paths]);
  const ids = new Map(rows.map((row) => [drv(row['path']), Number(row['id'])]));
  return (path: DrvPath): number => {
    const id = ids.get(path);
    if (id !== undefined) return id;
    throw new DatabaseError(
      'DATABASE_UNKNOWN_DERIVATION',
      `${path} is not stored: save derivations before recording what became of them; nothing was recorded`,
    );
  };
};

const transitionColumns = [
  'sequence',
  'drv_id',
  'attempt',
  'from_state',
  'to_state',
  'cause',
  'at_ms',
  'culprit_id',
  'message',
  'log_file',
] as const;

const buildColumns = [
  'drv_id',
  'attempt',
  'state',
  'cause',
  'started_at_ms',
  'finished_at_ms',
  'culprit_id',
  'message',
  'log_file',
  'sequence',
] as const;

const overwriteBuild = `on conflict (drv_id) do update set ${buildColumns
  .slice(1)
  .map((column) => `${column} = excluded.${column}`)
  .join(', ')}`;

const recordedBuild = ({ drv, atMs }: BuildTransition, attempt: BuildAttempt): RecordedBuild => ({
  drv,
  attempt: attempt.attempt,
  durationMs: attempt.startedAtMs === null ? null : atMs - attempt.startedAtMs,
  atMs,
});

const recordTransitions = async (session: Session, steps: readonly BuildTransition[]): Promise<number> => {
  // The lock comes before the comparison: states cannot change under it, and sequences follow commits.
  const first = await takeNumbers(session, 'transition', steps.length);
  const idOf = await idsByPath(session, steps);
  const stored = await statesOf(session, [...new Set(steps.map((step) => step.drv))]);
  const current = new Map<DrvPath, BuildAttempt>(stored.map((build) => [build.drv, build]));
  const built: RecordedBuild[] = [];
  const changed = new Map<DrvPath, { attempt: BuildAttempt; sequence: number }>();
  const rows = steps.map((step, index): SqlValue[] => {
    const before = current.get(step.drv) ?? null;
    if ((before?.state ?? null) !== step.from) {
      throw new StaleTransitionError(step.drv, step.from, before?.state ?? null);
    }
    const attempt = applyTransition(before, step);
    const sequence = first + index;
    const culprit = step.culprit === null ? null : idOf(step.culprit);
    current.set(step.drv, attempt);
    changed.set(step.drv, { attempt, sequence });
    if (step.to === 'succeeded' && step.cause === 'built') built.push(recordedBuild(step, attempt));
    const moved = [step.attempt, step.from, step.to, step.cause, step.atMs];
    return [sequence, idOf(step.drv), ...moved, culprit, step.message, step.logFile];
  });
  await insertRows(session, { table: 'build_transitions', columns: transitionColumns }, rows);
  const target = { table: 'builds', columns: buildColumns, suffix: overwriteBuild } as const;
  const builds = [...changed].map(([path, { attempt, sequence }]): SqlValue[] => [
    idOf(path),
    attempt.attempt,
    attempt.state,
    attempt.cause,
    attempt.startedAtMs,
    attempt.finishedAtMs,
    attempt.culprit === null ? null : idOf(attempt.culprit),
    attempt.message,
    attempt.logFile,
    sequence,
  ]);
  await insertRows(session, target, builds);
  await learnFromBuilds(session, built);
  return first;
};

export const buildCalls = (session: Session): BuildCalls => ({
  recordTransitions: (transitions) => recordTransitions(session, transitions),
  statesOf: (paths) => statesOf(session, paths),
  answersOf: (paths) => answersOf(session, paths),
  async endedSince(atMs, { after, limit }) {
    // As the index has it, to the letter.
    const ended = `b.state in ('succeeded', 'failed')`;
    const where = `where ${ended} and (b.finished_at_ms, b.sequence) > ($1, $2)`;
    const query = `${selectBuilds} ${where} order by b.finished_at_ms, b.sequence limit $3`;
    const from = after === null ? [atMs, -1] : [after.finishedAtMs, after.sequence];
    return (await session.run(query, [...from, limit])).map(buildOf);
  },
  async historyOf(path) {
    const where = 'where t.drv_id = (select id from derivations where path = $1) order by t.sequence';
    return (await session.run(`${selectTransitions} ${where}`, [path])).map(transitionOf);
  },
  async unfinished({ started }) {
    const cut = `(b.state <> 'interrupted' or b.cause = 'scheduler-death')`;
    const where = `where b.${unfinishedStates} and ${cut}${started ? ' and b.started_at_ms is not null' : ''}`;
    const query = `${selectBuilds} ${where} order by b.drv_id`;
    return (await session.run(query, [])).map(buildOf);
  },
  interruptWaiting: (atMs) => interruptWaiting(session, atMs),
  async eventsSince(sequence, limit) {
    const where = 'where t.sequence > $1 order by t.sequence limit $2';
    return (await session.run(`${selectTransitions} ${where}`, [sequence, limit])).map(transitionOf);
  },
});
