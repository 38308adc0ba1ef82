// Runs of hooks: wanted once for each build, begun once, ended once.
import type { CommitSha, DrvPath } from '@eka-ci/core/ids';
import { type SqlBool, sql } from 'kysely';
import type { HookRunState, HookRuns, StoredHookRun } from '../hook-runs.ts';
import { plainNameNow } from '../repositories.ts';
import { type KeptNames, keptNames } from './named.ts';
import { insertRows, type Session, type SqlValue, takeNumbers } from './session.ts';
import type { HookRunTable } from './tables.ts';

export type HookRunCalls = HookRuns;

// As the indices have them, to the letter.
const isWaiting = sql<SqlBool>`state = 'waiting'`;
const isRunning = sql<SqlBool>`state = 'running'`;

const runOf = (row: HookRunTable, kept: KeptNames): StoredHookRun => ({
  id: row.id,
  hook: row.hook,
  // The casts are the edge: only this file writes these columns, from the same types.
  drv: row.drv as DrvPath,
  attempt: row.attempt,
  buildState: row.build_state as StoredHookRun['buildState'],
  repository: plainNameNow(row.repository, kept.get(row.change_id) ?? null),
  branch: row.branch,
  job: row.job,
  commitSha: row.commit_sha as CommitSha,
  changeId: row.change_id,
  state: row.state as HookRunState,
  tries: row.tries,
  nextAtMs: row.next_at_ms,
  wantedAtMs: row.wanted_at_ms,
  startedAtMs: row.started_at_ms,
  finishedAtMs: row.finished_at_ms,
  exitStatus: row.exit_status,
  message: row.message,
  logFile: row.log_file,
});

const runsOf = async (session: Session, rows: readonly HookRunTable[]): Promise<StoredHookRun[]> => {
  const kept = await keptNames(
    session,
    rows.map((row) => row.change_id),
  );
  return rows.map((row) => runOf(row, kept));
};

const columns = [
  ...[
    'id',
    'hook',
    'drv',
    'attempt',
    'build_state',
    'repository',
    'branch',
    'job',
    'commit_sha',
    'change_id',
  ],
  ...['state', 'tries', 'next_at_ms', 'wanted_at_ms'],
];

const target = {
  table: 'hook_runs',
  columns,
  suffix: 'on conflict (drv, hook, attempt) do nothing',
} as const;

type MethodOf<Name extends keyof HookRuns> = HookRuns[Name] extends (...args: infer Args) => infer Result
  ? (session: Session, ...args: Args) => Result
  : never;

const highestId = async ({ kysely }: Session): Promise<number> => {
  const row = await kysely
    .selectFrom('hook_runs')
    .select((rows) => rows.fn.max('id').as('id'))
    .executeTakeFirst();
  return Number(row?.id ?? 0);
};

const want: MethodOf<'want'> = async (session, runs, atMs) => {
  const first = await takeNumbers(session, 'hook-run', runs.length);
  const before = await highestId(session);
  const rows = runs.map((run, index): SqlValue[] => [
    ...[first + index, run.hook, run.drv, run.attempt, run.buildState],
    ...[run.repository, run.branch, run.job, run.commitSha, run.changeId],
    ...['waiting', 0, 0, atMs],
  ]);
  await insertRows(session, target, rows);
  const row = await session.kysely
    .selectFrom('hook_runs')
    .select((all) => all.fn.countAll().as('count'))
    .where('id', '>', before)
    .executeTakeFirstOrThrow();
  return Number(row.count);
};

const update = ({ kysely }: Session, id: number, set: Partial<HookRunTable>) =>
  kysely.updateTable('hook_runs').set(set).where('id', '=', id);

const interruptRunning: MethodOf<'interruptRunning'> = async (session, atMs) => {
  const rows = await session.kysely
    .updateTable('hook_runs')
    .set({
      state: 'interrupted',
      finished_at_ms: atMs,
      message: 'the server ended while it ran: what it had done by then is not known, and it is not repeated',
    })
    .where(isRunning)
    .returningAll()
    .execute();
  return runsOf(
    session,
    rows.toSorted((a, b) => a.id - b.id),
  );
};

const countOf = async ({ kysely }: Session, which: typeof isWaiting): Promise<number> => {
  const row = await kysely
    .selectFrom('hook_runs')
    .select((rows) => rows.fn.countAll().as('count'))
    .where(which)
    .executeTakeFirstOrThrow();
  return Number(row.count);
};

export const hookRunCalls = (session: Session): HookRunCalls => ({
  want: (runs, atMs) => want(session, runs, atMs),
  async due(nowMs, limit) {
    const rows = await session.kysely
      .selectFrom('hook_runs')
      .selectAll()
      .where(isWaiting)
      .where('next_at_ms', '<=', nowMs)
      .orderBy('next_at_ms')
      .orderBy('id')
      .limit(limit)
      .execute();
    return runsOf(session, rows);
  },
  async nextDueMs() {
    const row = await session.kysely
      .selectFrom('hook_runs')
      .select('next_at_ms')
      .where(isWaiting)
      .orderBy('next_at_ms')
      .limit(1)
      .executeTakeFirst();
    return row?.next_at_ms ?? null;
  },
  async begin(id, { logFile, atMs }) {
    const began = await update(session, id, { state: 'running', log_file: logFile, started_at_ms: atMs })
      .where(isWaiting)
      .returning('id')
      .executeTakeFirst();
    return began !== undefined;
  },
  async putOff(id, { message, nextAtMs }) {
    await session.kysely
      .updateTable('hook_runs')
      .set((row) => ({ tries: row('tries', '+', 1), message, next_at_ms: nextAtMs }))
      .where('id', '=', id)
      .where(isWaiting)
      .execute();
  },
  async end(id, { state, exitStatus, message, atMs }) {
    await update(session, id, { state, exit_status: exitStatus, message, finished_at_ms: atMs })
      .where('state', 'in', ['waiting', 'running'])
      .execute();
  },
  interruptRunning: (atMs) => interruptRunning(session, atMs),
  async of(drv) {
    const rows = await session.kysely.selectFrom('hook_runs').selectAll().where('drv', '=', drv).execute();
    return runsOf(
      session,
      rows.toSorted((a, b) => b.id - a.id),
    );
  },
  counts: async () => ({
    waiting: await countOf(session, isWaiting),
    running: await countOf(session, isRunning),
  }),
  async forget(beforeMs) {
    const rows = await session.kysely
      .deleteFrom('hook_runs')
      .where('finished_at_ms', '<', beforeMs)
      .returning('id')
      .execute();
    return rows.length;
  },
});
