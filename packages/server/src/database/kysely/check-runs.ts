// Runs of checks, each with what it asked: an answer is looked up by that.
import { type SqlBool, sql } from 'kysely';
import type { CheckRunEnd, CheckRunState, CheckRuns, NewCheckRun, StoredCheckRun } from '../check-runs.ts';
import { type Session, takeNumbers } from './session.ts';
import type { CheckRunTable } from './tables.ts';

export type CheckRunCalls = CheckRuns;

// As the indexes have them, to the letter.
const isAnswer = sql<SqlBool>`is_answer = 1`;
const isOpen = sql<SqlBool>`ended_at_ms is null`;

const runOf = (row: CheckRunTable): StoredCheckRun => ({
  id: row.id,
  changeId: row.change_id,
  name: row.name,
  question: row.question,
  // The casts are the edge: only this file writes these columns, from the same types.
  state: row.state as CheckRunState,
  status: row.status,
  reason: row.reason,
  durationMs: row.duration_ms,
  outputTail: JSON.parse(row.tail_json) as string[],
  kept: row.kept === 1,
  logFile: row.log_file,
  queuedAtMs: row.queued_at_ms,
  endedAtMs: row.ended_at_ms,
});

const newRow = async (
  session: Session,
  { id, changeId, name, question, queuedAtMs }: NewCheckRun,
): Promise<CheckRunTable> => ({
  id,
  sequence: await takeNumbers(session, 'check-run', 1),
  change_id: changeId,
  name,
  question,
  state: 'queued',
  is_answer: 0,
  kept: 0,
  status: null,
  reason: null,
  duration_ms: null,
  tail_json: '[]',
  log_file: null,
  queued_at_ms: queuedAtMs,
  ended_at_ms: null,
});

const insert = async (session: Session, row: CheckRunTable): Promise<void> => {
  await session.kysely.insertInto('check_runs').values(row).execute();
};

const keepAnswer = async (session: Session, run: NewCheckRun, answer: StoredCheckRun): Promise<void> => {
  const row = await newRow(session, run);
  await insert(session, {
    ...row,
    state: answer.state,
    kept: 1,
    status: answer.status,
    reason: answer.reason,
    duration_ms: answer.durationMs,
    tail_json: JSON.stringify(answer.outputTail),
    log_file: answer.logFile,
    ended_at_ms: run.queuedAtMs,
  });
};

const end = async (session: Session, id: string, ended: CheckRunEnd): Promise<boolean> => {
  const row = await session.kysely
    .updateTable('check_runs')
    .set({
      state: ended.outcome,
      is_answer: ended.isAnswer ? 1 : 0,
      status: ended.status,
      reason: ended.reason,
      duration_ms: ended.durationMs,
      tail_json: JSON.stringify(ended.outputTail),
      ended_at_ms: ended.atMs,
    })
    .where('id', '=', id)
    .where(isOpen)
    .returning('id')
    .executeTakeFirst();
  return row !== undefined;
};

const findAnswer = async (
  session: Session,
  question: string,
  endedSinceMs: number,
): Promise<StoredCheckRun | null> => {
  const row = await session.kysely
    .selectFrom('check_runs')
    .selectAll()
    .where('question', '=', question)
    .where(isAnswer)
    .where((where) => where.or([where('state', '=', 'passed'), where('ended_at_ms', '>=', endedSinceMs)]))
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row === undefined ? null : runOf(row);
};

const ofChange = async (session: Session, changeId: string): Promise<readonly StoredCheckRun[]> => {
  const rows = await session.kysely
    .selectFrom('check_runs')
    .selectAll()
    .where('change_id', '=', changeId)
    .orderBy('sequence')
    .execute();
  const newest = new Map(rows.map((row) => [row.name, runOf(row)]));
  return [...newest.values()].toSorted((one, other) => (one.name < other.name ? -1 : 1));
};

/** See `forgetAnswers` of the port. */
export const forgetCheckAnswers = async (
  session: Session,
  changeId: string,
  name: string | null,
): Promise<number> => {
  const asked = (await ofChange(session, changeId)).filter((run) =>
    name === null ? run.state !== 'passed' : run.name === name,
  );
  if (asked.length === 0) return 0;
  const rows = await session.kysely
    .updateTable('check_runs')
    .set({ is_answer: 0 })
    .where(
      'question',
      'in',
      asked.map(({ question }) => question),
    )
    .where(isAnswer)
    .returning('id')
    .execute();
  return rows.length;
};

export const checkRunCalls = (session: Session): CheckRunCalls => ({
  queue: async (run) => insert(session, await newRow(session, run)),
  async start(id, logFile) {
    await session.kysely
      .updateTable('check_runs')
      .set({ state: 'running', log_file: logFile })
      .where('id', '=', id)
      .where('state', '=', 'queued')
      .execute();
  },
  end: (id, ended) => end(session, id, ended),
  findAnswer: (question, endedSinceMs) => findAnswer(session, question, endedSinceMs),
  keepAnswer: (run, answer) => keepAnswer(session, run, answer),
  async find(id) {
    const row = await session.kysely
      .selectFrom('check_runs')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
    return row === undefined ? null : runOf(row);
  },
  ofChange: (changeId) => ofChange(session, changeId),
  forgetAnswers: (changeId, name) => forgetCheckAnswers(session, changeId, name),
  async interruptAll(atMs) {
    const reason = 'the server ended while it ran';
    const rows = await session.kysely
      .updateTable('check_runs')
      .set({ state: 'interrupted', reason, ended_at_ms: atMs })
      .where(isOpen)
      .returning('id')
      .execute();
    return rows.length;
  },
  async forget(endedBeforeMs) {
    const rows = await session.kysely
      .deleteFrom('check_runs')
      .where('ended_at_ms', '<', endedBeforeMs)
      .returning('id')
      .execute();
    return rows.length;
  },
});
