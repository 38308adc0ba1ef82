// The outbox: what gates shall say on forges, and how much of that was sent.
import type { CommitSha } from '@eka-ci/core/ids';
import { type SqlBool, sql } from 'kysely';
import type { GateClaim, GateCounts, GateKey, Gates, StoredGate, WantedGate } from '../database.ts';
import { isAside } from '../repositories.ts';
import { nameNow } from './named.ts';
import { type Session, takeNumbers } from './session.ts';
import type { GateTable } from './tables.ts';

export type GateCalls = Gates;

// As the indexes have them, to the letter: with parameters in their place the planner could not tell that they hold.
const isWaiting = sql<SqlBool>`sent_version < version and next_at_ms is not null`;
const isGivenUp = sql<SqlBool>`sent_version < version and next_at_ms is null`;

const unclaimed = { claim_owner: null, claimed_version: null, claim_until_ms: null };

const gateOf = (row: GateTable): StoredGate => ({
  host: row.host,
  repository: row.repository,
  // The edge: only this folder writes this column, from the same type.
  headSha: row.head_sha as CommitSha,
  name: row.name,
  wantedJson: row.wanted_json,
  placeJson: row.place_json,
  isConcluded: row.concluded === 1,
  priority: row.priority,
  version: row.version,
  sentVersion: row.sent_version,
  forgeId: row.forge_id,
  attempts: row.attempts,
  nextAtMs: row.next_at_ms,
  fault: row.fault,
  updatedAtMs: row.updated_at_ms,
});

const keyColumns = ({ host, repository, headSha, name }: GateKey) => ({
  host,
  repository,
  head_sha: headSha,
  name,
});

type RowKey = ReturnType<typeof keyColumns>;

const updateGate = async (session: Session, key: RowKey, set: Partial<GateTable>): Promise<void> => {
  await session.kysely
    .updateTable('gates')
    .set(set)
    .where('host', '=', key.host)
    .where('repository', '=', key.repository)
    .where('head_sha', '=', key.head_sha)
    .where('name', '=', key.name)
    .execute();
};

const rowOf = (session: Session, key: RowKey) =>
  session.kysely
    .selectFrom('gates')
    .where('host', '=', key.host)
    .where('repository', '=', key.repository)
    .where('head_sha', '=', key.head_sha)
    .where('name', '=', key.name);

/** Without its texts, which may be long. */
const readProgress = (session: Session, key: RowKey) =>
  rowOf(session, key)
    .select(['version', 'sent_version', 'next_at_ms', 'claimed_version', 'attempts'])
    .executeTakeFirst();

/** Due at once, behind all that waits. @param isDue false: its repository has no name under which it could be shown */
const startWaiting = async (session: Session, atMs: number, isDue = true) => ({
  sequence: await takeNumbers(session, 'gate', 1),
  waiting_since_ms: atMs,
  next_at_ms: isDue ? 0 : null,
  attempts: 0,
  fault: null,
});

/** True where it is wanted exactly so. */
const isWanted = async (session: Session, key: RowKey, { wantedJson, placeJson }: WantedGate) => {
  const [row] = await session.run(
    'select 1 as same from gates where host = $1 and repository = $2 and head_sha = $3 and name = $4 ' +
      'and wanted_json = $5 and place_json = $6',
    [key.host, key.repository, key.head_sha, key.name, wantedJson, placeJson],
  );
  return row !== undefined;
};

/** @returns whether there is something new to be sent */
const wantOne = async (session: Session, gate: WantedGate, atMs: number): Promise<boolean> => {
  const key = keyColumns(gate);
  const rank = { priority: gate.priority, concluded: gate.isConcluded ? 1 : 0 };
  const known = await readProgress(session, key);
  const isDue = !isAside(key.repository);
  if (known !== undefined && (await isWanted(session, key, gate))) {
    await updateGate(session, key, rank);
    return false;
  }
  const wanted = {
    ...rank,
    wanted_json: gate.wantedJson,
    place_json: gate.placeJson,
    version: (known?.version ?? 0) + 1,
    updated_at_ms: atMs,
  };
  if (known === undefined) {
    const fresh = { ...key, ...wanted, ...(await startWaiting(session, atMs, isDue)), ...unclaimed };
    await session.kysely
      .insertInto('gates')
      .values({ ...fresh, sent_version: 0, forge_id: null })
      .execute();
    return true;
  }
  const keepsPlace = known.sent_version < known.version && known.next_at_ms !== null;
  await updateGate(session, key, {
    ...wanted,
    ...(keepsPlace ? {} : await startWaiting(session, atMs, isDue)),
  });
  return true;
};

/** Where it belongs now: its repository may have got another name since somebody looked. */
const placeOf = async (session: Session, gate: WantedGate): Promise<WantedGate> => {
  const repository = await nameNow(session, { ...gate, repositoryId: gate.repositoryId }, gate.repository);
  if (repository === gate.repository) return gate;
  const [old, now] = [gate.repository, repository].map((name) => `"repository":${JSON.stringify(name)}`);
  return { ...gate, repository, placeJson: gate.placeJson.replace(old ?? '', () => now ?? '') };
};

const want = async (session: Session, gates: readonly WantedGate[], atMs: number): Promise<number> => {
  // The lock comes before the look: of two writers of one gate the second must see the first.
  await takeNumbers(session, 'gate', 0);
  // And what moves rows to another name holds this one.
  if (gates.some(({ repositoryId }) => repositoryId !== undefined)) await takeNumbers(session, 'change', 0);
  let changed = 0;
  for (const gate of gates) if (await wantOne(session, await placeOf(session, gate), atMs)) changed += 1;
  return changed;
};

const pageLimit = (limit: number): number => Math.min(1000, Math.max(1, Math.trunc(limit)));

const claimDue = async (session: Session, claim: GateClaim): Promise<readonly StoredGate[]> => {
  await takeNumbers(session, 'gate', 0);
  const { host, owner, untilMs } = claim;
  const now = sql.lit(Math.trunc(claim.nowMs));
  const due = await session.kysely
    .selectFrom('gates')
    .select(['host', 'repository', 'head_sha', 'name', 'version'])
    .where(isWaiting)
    .$if(host !== undefined, (query) => query.where('host', '=', host ?? ''))
    // Put off at a time that is still to come: the clock was set back, and says nothing of how long that is to wait.
    .where(sql<SqlBool>`(next_at_ms <= ${now} or updated_at_ms > ${now})`)
    .where(sql<SqlBool>`(claim_until_ms is null or claim_until_ms < ${now})`)
    .orderBy('priority')
    .orderBy('sequence')
    .limit(pageLimit(claim.limit))
    .execute();
  const claimed: StoredGate[] = [];
  for (const { version, ...key } of due) {
    const row = await session.kysely
      .updateTable('gates')
      .set({ claim_owner: owner, claimed_version: version, claim_until_ms: untilMs })
      .where('host', '=', key.host)
      .where('repository', '=', key.repository)
      .where('head_sha', '=', key.head_sha)
      .where('name', '=', key.name)
      .returningAll()
      .executeTakeFirstOrThrow();
    claimed.push(gateOf(row));
  }
  return claimed;
};

type GateMethod<Name extends keyof Gates> = Gates[Name] extends (...args: infer Args) => infer Result
  ? (session: Session, ...args: Args) => Result
  : never;

/** Of a gate that was given out; null where it was forgotten since, and perhaps wanted anew. */
const readClaimed = async (session: Session, key: RowKey, version: number) => {
  const known = await readProgress(session, key);
  return known === undefined || version > known.version ? null : known;
};

const sent: GateMethod<'sent'> = async (session, { version, ...gate }, { forgeId, atMs }) => {
  await takeNumbers(session, 'gate', 0);
  const key = keyColumns(gate);
  const known = await readClaimed(session, key, version);
  if (known === null) return;
  const released = known.claimed_version === version ? unclaimed : {};
  if (version <= known.sent_version) return updateGate(session, key, { forge_id: forgeId, ...released });
  const isNewest = version === known.version;
  await updateGate(session, key, {
    forge_id: forgeId,
    sent_version: version,
    updated_at_ms: atMs,
    ...released,
    ...(isNewest ? { attempts: 0, fault: null, next_at_ms: 0 } : {}),
    // One whose state changes all the time comes behind those that wait, or they would wait for ever.
    ...(!isNewest && known.next_at_ms !== null ? await startWaiting(session, atMs) : {}),
  });
};

const failed: GateMethod<'failed'> = async (session, { version, ...gate }, { fault, nextAtMs, atMs }) => {
  await takeNumbers(session, 'gate', 0);
  const key = keyColumns(gate);
  const known = await readClaimed(session, key, version);
  if (known === null || version <= known.sent_version) return;
  await updateGate(session, key, {
    updated_at_ms: atMs,
    ...(known.claimed_version === version ? unclaimed : {}),
    ...(nextAtMs === null && version < known.version
      ? await startWaiting(session, atMs, !isAside(key.repository))
      : { attempts: known.attempts + 1, fault, next_at_ms: nextAtMs }),
  });
};

const unfinishedOf: GateMethod<'unfinishedOf'> = async (session, host, { after, limit }) => {
  let select = session.kysely
    .selectFrom('gates')
    .selectAll()
    .where('host', '=', host)
    .where(sql<SqlBool>`concluded = 0`)
    .orderBy('repository')
    .orderBy('head_sha')
    .orderBy('name')
    .limit(pageLimit(limit));
  if (after !== null) {
    const { repository, headSha, name } = after;
    select = select.where((columns) =>
      columns(
        columns.refTuple('repository', 'head_sha', 'name'),
        '>',
        columns.tuple(repository, headSha, name),
      ),
    );
  }
  return (await select.execute()).map(gateOf);
};

const counts = async (session: Session): Promise<readonly GateCounts[]> => {
  const waiting = await session.kysely
    .selectFrom('gates')
    .select(({ fn }) => ['host', fn.countAll().as('count'), fn.min('waiting_since_ms').as('since')])
    .where(isWaiting)
    .groupBy('host')
    .execute();
  const givenUp = await session.kysely
    .selectFrom('gates')
    .select(({ fn }) => ['host', fn.countAll().as('count')])
    .where(isGivenUp)
    .groupBy('host')
    .execute();
  const hosts = [...new Set([...waiting, ...givenUp].map(({ host }) => host))].toSorted();
  return hosts.map((host) => {
    const waits = waiting.find((one) => one.host === host);
    return {
      host,
      waiting: Number(waits?.count ?? 0),
      waitingSinceMs: waits === undefined ? null : Number(waits.since),
      givenUp: Number(givenUp.find((one) => one.host === host)?.count ?? 0),
    };
  });
};

const forget = async (session: Session, beforeMs: number): Promise<number> => {
  const rows = await session.kysely
    .deleteFrom('gates')
    .where('updated_at_ms', '<', beforeMs)
    .where(
      sql<SqlBool>`((sent_version >= version and concluded = 1) or (sent_version < version and next_at_ms is null))`,
    )
    .returning('host')
    .execute();
  return rows.length;
};

export const gateCalls = (session: Session): GateCalls => ({
  want: (gates, atMs) => want(session, gates, atMs),
  claimDue: (claim) => claimDue(session, claim),
  sent: (gate, how) => sent(session, gate, how),
  failed: (gate, failure) => failed(session, gate, failure),
  async retryGivenUp(host, atMs) {
    const rows = await session.kysely
      .updateTable('gates')
      .set({ next_at_ms: 0, attempts: 0, waiting_since_ms: atMs, updated_at_ms: atMs })
      .where('host', '=', host)
      .where(isGivenUp)
      .where('repository', 'not like', '#%')
      .returning('host')
      .execute();
    return rows.length;
  },
  async releaseAll(owner) {
    const rows = await session.kysely
      .updateTable('gates')
      .set(unclaimed)
      .where('claim_owner', '=', owner)
      .returning('host')
      .execute();
    return rows.length;
  },
  async find(key) {
    const row = await rowOf(session, keyColumns(key)).selectAll().executeTakeFirst();
    return row === undefined ? null : gateOf(row);
  },
  async ofHead({ host, repository, headSha }) {
    const rows = await session.kysely
      .selectFrom('gates')
      .selectAll()
      .where('host', '=', host)
      .where('repository', '=', repository)
      .where('head_sha', '=', headSha)
      .orderBy('name')
      .execute();
    return rows.map(gateOf);
  },
  unfinishedOf: (host, page) => unfinishedOf(session, host, page),
  counts: () => counts(session),
  forget: (beforeMs) => forget(session, beforeMs),
});
