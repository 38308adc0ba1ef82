// What is to be copied to which cache, and what became of it.
import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { type RawBuilder, type SqlBool, sql } from 'kysely';
import type { Pushes, PushState, StoredPush } from '../pushes.ts';
import { plainNameNow } from '../repositories.ts';
import { type KeptNames, keptNames } from './named.ts';
import { type Session, takeNumbers } from './session.ts';
import type { PushTable } from './tables.ts';
import { chunksOf, startWaiting, unleased, wantPushes } from './want-pushes.ts';

/** A set cannot cross to a thread as one in every driver: the port makes it of the list. */
export type PushCalls = Omit<Pushes, 'settled' | 'askAgain'> & {
  /** Some of those whose outputs are beyond `after`. @returns these, in order; none where there are no more */
  askAgain(
    cache: string,
    which: { readonly after: string; readonly atMs: number },
  ): Promise<readonly string[]>;
  settled(of: Parameters<Pushes['settled']>[0], outputs: readonly StorePath[]): Promise<readonly StorePath[]>;
};

// As the indexes have them, to the letter.
const isWaiting = sql<SqlBool>`state = 'waiting'`;
const isSettled = sql<SqlBool>`state <> 'waiting'`;

/** The casts are the edge: only this folder writes these columns, from the same types. */
const pushOf = (row: PushTable, kept: KeptNames): StoredPush => ({
  id: row.id,
  cache: row.cache,
  drv: row.drv as DrvPath,
  outputs: JSON.parse(row.outputs_json) as StoredPush['outputs'],
  repository: plainNameNow(row.repository, kept.get(row.change_id ?? '') ?? null),
  branch: row.branch,
  changeId: row.change_id,
  publicationId: row.publication_id,
  priority: row.priority,
  state: row.state as PushState,
  attempts: row.attempts,
  nextAtMs: row.next_at_ms,
  fault: row.fault,
  waitingSinceMs: row.waiting_since_ms,
  updatedAtMs: row.updated_at_ms,
});

type Method<Name extends keyof PushCalls> = PushCalls[Name] extends (...args: infer Args) => infer Result
  ? (session: Session, ...args: Args) => Result
  : never;

const settled: Method<'settled'> = async (session, { cache, priority }, outputs) => {
  const found: StorePath[] = [];
  for (const chunk of chunksOf(outputs)) {
    const rows = await session.kysely
      .selectFrom('pushes')
      .select('output')
      .where('cache', '=', cache)
      .where('output', 'in', chunk)
      .where('state', '<>', 'dropped')
      .where((columns) =>
        columns.or([columns('state', '<>', 'waiting'), columns('priority', '<=', priority)]),
      )
      .execute();
    for (const { output } of rows) found.push(output as StorePath);
  }
  return found;
};

/** What a cache will never take must not keep from it what it would: it comes after all else. */
const hasHope = sql<SqlBool>`attempts < 3`;
const hasFailedOften = sql<SqlBool>`attempts >= 3`;

const claim: Method<'claim'> = async (session, { cache, owner, nowMs, untilMs, limit, oneAt }) => {
  await takeNumbers(session, 'push', 0);
  const now = sql.lit(Math.trunc(nowMs));
  const dueAmong = (isAmong: RawBuilder<SqlBool>, most: number) =>
    session.kysely
      .selectFrom('pushes')
      .select('id')
      .where('cache', '=', cache)
      .where(isWaiting)
      .where(isAmong)
      // Put off at a time that is still to come: the clock was set back, and says nothing of how long that is to wait.
      .where(sql<SqlBool>`(next_at_ms <= ${now} or updated_at_ms > ${now})`)
      .where(sql<SqlBool>`(lease_until_ms is null or lease_until_ms < ${now})`)
      .orderBy('priority')
      .orderBy('sequence')
      .limit(most)
      .execute();
  const most = Math.min(1000, Math.max(1, Math.trunc(limit)));
  const due = await dueAmong(hasHope, most);
  if (due.length < most) due.push(...(await dueAmong(hasFailedOften, most - due.length)));
  const first = Math.floor((oneAt ?? 0) * due.length);
  const claimed: PushTable[] = [];
  for (const { id } of oneAt === undefined ? due : due.slice(first, first + 1)) {
    const row = await session.kysely
      .updateTable('pushes')
      .set({ lease_owner: owner, lease_until_ms: untilMs })
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirstOrThrow();
    claimed.push(row);
  }
  const kept = await keptNames(
    session,
    claimed.map((row) => row.change_id),
  );
  return claimed.map((row) => pushOf(row, kept));
};

const held = (session: Session, ids: readonly number[], owner: string) =>
  session.kysely
    .updateTable('pushes')
    .where('id', 'in', ids)
    .where('state', '=', 'waiting')
    .where('lease_owner', '=', owner);

const renew: Method<'renew'> = async (session, { ids, owner }, untilMs) => {
  const kept: number[] = [];
  for (const chunk of chunksOf(ids)) {
    const rows = await held(session, chunk, owner).set({ lease_until_ms: untilMs }).returning('id').execute();
    for (const { id } of rows) kept.push(id);
  }
  return kept;
};

const settle: Method<'settle'> = async (session, ids, { state, fault, atMs }) => {
  for (const chunk of chunksOf(ids)) {
    await session.kysely
      .updateTable('pushes')
      .set({ state, fault, attempts: 0, next_at_ms: 0, updated_at_ms: atMs, ...unleased })
      .where('id', 'in', chunk)
      .execute();
  }
};

const putOff: Method<'putOff'> = async (session, { ids, owner }, { fault, nextAtMs, atMs }) => {
  for (const chunk of chunksOf(ids)) {
    await held(session, chunk, owner)
      .set((columns) => ({
        ...unleased,
        attempts: columns('attempts', '+', 1),
        next_at_ms: nextAtMs,
        fault,
        updated_at_ms: atMs,
      }))
      .execute();
  }
};

const counts: Method<'counts'> = async (session) => {
  const rows = await session.kysely
    .selectFrom('pushes')
    .select(({ fn }) => [
      'cache',
      fn.countAll().as('waiting'),
      fn.count('fault').as('failing'),
      fn.min('waiting_since_ms').as('since'),
    ])
    .where(isWaiting)
    .groupBy('cache')
    .orderBy('cache')
    .execute();
  return rows.map(({ cache, waiting, failing, since }) => ({
    cache,
    waiting: Number(waiting),
    failing: Number(failing),
    waitingSinceMs: Number(since),
  }));
};

const forget: Method<'forget'> = async (session, beforeMs, caches) => {
  const old = await session.kysely
    .deleteFrom('pushes')
    .where(isSettled)
    .where('updated_at_ms', '<', beforeMs)
    .returning('id')
    .execute();
  let unserved = session.kysely
    .deleteFrom('pushes')
    .where(isWaiting)
    .where('waiting_since_ms', '<', beforeMs)
    .returning('id');
  if (caches.length > 0) unserved = unserved.where('cache', 'not in', caches);
  return old.length + (await unserved.execute()).length;
};

const askedAtOnce = 1000;

const askAgain: Method<'askAgain'> = async (session, cache, { after, atMs }) => {
  // With a new number: by those that they had, all of them would come before what waits by now.
  const sequence = await takeNumbers(session, 'push', 1);
  const rows = await session.kysely
    .selectFrom('pushes')
    .select(['id', 'output'])
    .where('cache', '=', cache)
    .where('output', '>', after)
    .where('state', 'in', ['pushed', 'present'])
    .orderBy('output')
    .limit(askedAtOnce)
    .execute();
  for (const chunk of chunksOf(rows.map(({ id }) => id))) {
    await session.kysely
      .updateTable('pushes')
      .set(startWaiting(sequence, atMs))
      .where('id', 'in', chunk)
      .execute();
  }
  return rows.map(({ output }) => output);
};

const retry: Method<'retry'> = async (session, cache, atMs) => {
  let update = session.kysely
    .updateTable('pushes')
    .set({ next_at_ms: 0 })
    .where(isWaiting)
    .where('next_at_ms', '>', atMs)
    .returning('id');
  if (cache !== null) update = update.where('cache', '=', cache);
  return (await update.execute()).length;
};

export const pushCalls = (session: Session): PushCalls => ({
  want: (pushes, atMs) => wantPushes(session, pushes, atMs),
  settled: (of, outputs) => settled(session, of, outputs),
  claim: (asked) => claim(session, asked),
  renew: (lease, untilMs) => renew(session, lease, untilMs),
  settle: (ids, ending) => settle(session, ids, ending),
  putOff: (lease, why) => putOff(session, lease, why),
  async release({ ids, owner }) {
    for (const chunk of chunksOf(ids)) await held(session, chunk, owner).set(unleased).execute();
  },
  async releaseAll(owner) {
    const rows = await session.kysely
      .updateTable('pushes')
      .set(unleased)
      .where(isWaiting)
      .where('lease_owner', '=', owner)
      .returning('id')
      .execute();
    return rows.length;
  },
  retry: (cache, atMs) => retry(session, cache, atMs),
  askAgain: (cache, which) => askAgain(session, cache, which),
  counts: () => counts(session),
  async publicationsWaiting() {
    const rows = await session.kysely
      .selectFrom('pushes')
      .select('publication_id')
      .distinct()
      .where(isWaiting)
      .execute();
    return rows.map(({ publication_id: id }) => id);
  },
  forget: (beforeMs, caches) => forget(session, beforeMs, caches),
});
