// Jobsets: a row a jobset, its records as compressed text in chunks. A row without `completed_at_ms` is a draft,
// which nothing but its writer ever sees.
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { JobsetCounts } from '../database.ts';
import type { Session } from './session.ts';
import { takeNumbers } from './session.ts';
import type { JobsetTable } from './tables.ts';

export interface JobsetRow {
  readonly id: number;
  readonly keyJson: string;
  readonly counts: JobsetCounts;
  readonly chunks: number;
  readonly completedAtMs: number;
}

export interface DraftCompletion {
  readonly id: number;
  readonly counts: JobsetCounts;
  readonly chunks: number;
  readonly completedAtMs: number;
}

export interface JobsetCalls {
  find(digest: string): Promise<JobsetRow | null>;
  /** Null when there is no complete jobset with that id. */
  chunkCount(id: number): Promise<number | null>;
  /** JSON text of the records; null when it is gone. */
  chunk(id: number, position: number): Promise<string | null>;
  beginDraft(digest: string, keyJson: string): Promise<number>;
  appendChunk(id: number, position: number, json: string): Promise<void>;
  /** Makes a draft visible, or drops it when a jobset with its key was faster; gives the visible one. */
  completeDraft(completion: DraftCompletion): Promise<JobsetRow>;
  remove(id: number): Promise<void>;
  forget(completedBeforeMs: number): Promise<number>;
  /** Only while nobody can be writing one: when the only server opens its database. */
  removeDrafts(): Promise<void>;
}

const rowOf = (row: JobsetTable): JobsetRow => ({
  id: row.id,
  keyJson: row.key_json,
  counts: { derivations: row.derivations, unavailable: row.unavailable, failed: row.failed },
  chunks: row.chunks,
  completedAtMs: row.completed_at_ms ?? 0,
});

const findComplete = async (session: Session, digest: string): Promise<JobsetRow | null> => {
  const row = await session.kysely
    .selectFrom('jobsets')
    .selectAll()
    .where('digest', '=', digest)
    .where('completed_at_ms', 'is not', null)
    .executeTakeFirst();
  return row === undefined ? null : rowOf(row);
};

const removeJobset = async (session: Session, id: number): Promise<void> => {
  await session.kysely.deleteFrom('jobset_chunks').where('jobset_id', '=', id).execute();
  await session.kysely.deleteFrom('jobsets').where('id', '=', id).execute();
};

const beginDraft = async (session: Session, digest: string, keyJson: string): Promise<number> => {
  const id = await takeNumbers(session, 'jobset', 1);
  const counts = { derivations: 0, unavailable: 0, failed: 0, chunks: 0 };
  await session.kysely
    .insertInto('jobsets')
    .values({ id, digest, key_json: keyJson, ...counts, completed_at_ms: null })
    .execute();
  return id;
};

const completeDraft = async (session: Session, completion: DraftCompletion): Promise<JobsetRow> => {
  const { id, counts, chunks, completedAtMs } = completion;
  // The lock comes before the look-up: of two writers of one key the second must see the first.
  await takeNumbers(session, 'jobset', 0);
  const draft = await session.kysely
    .selectFrom('jobsets')
    .select('digest')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  const faster = await findComplete(session, draft.digest);
  if (faster !== null) {
    await removeJobset(session, id);
    return faster;
  }
  const row = await session.kysely
    .updateTable('jobsets')
    .set({ ...counts, chunks, completed_at_ms: completedAtMs })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
  return rowOf(row);
};

export const jobsetCalls = (session: Session): JobsetCalls => ({
  find: (digest) => findComplete(session, digest),
  async chunkCount(id) {
    const row = await session.kysely
      .selectFrom('jobsets')
      .select('chunks')
      .where('id', '=', id)
      .where('completed_at_ms', 'is not', null)
      .executeTakeFirst();
    return row?.chunks ?? null;
  },
  async chunk(id, position) {
    const text = 'select records from jobset_chunks where jobset_id = $1 and position = $2';
    const [row] = await session.run(text, [id, position]);
    const records = row?.['records'];
    return records instanceof Uint8Array ? inflateRawSync(records).toString('utf8') : null;
  },
  beginDraft: (digest, keyJson) => beginDraft(session, digest, keyJson),
  async appendChunk(id, position, json) {
    // Level 1: a tenth of the size in a third of the time that level 6 takes for a twelfth.
    await session.run('insert into jobset_chunks (jobset_id, position, records) values ($1, $2, $3)', [
      id,
      position,
      deflateRawSync(json, { level: 1 }),
    ]);
  },
  completeDraft: (completion) => completeDraft(session, completion),
  remove: (id) => removeJobset(session, id),
  async forget(completedBeforeMs) {
    const old = session.kysely
      .selectFrom('jobsets')
      .select('id')
      .where('completed_at_ms', '<', completedBeforeMs);
    const ids = (await old.execute()).map(({ id }) => id);
    for (const id of ids) await removeJobset(session, id);
    return ids.length;
  },
  async removeDrafts() {
    const drafts = session.kysely.selectFrom('jobsets').select('id').where('completed_at_ms', 'is', null);
    for (const { id } of await drafts.execute()) await removeJobset(session, id);
  },
});
