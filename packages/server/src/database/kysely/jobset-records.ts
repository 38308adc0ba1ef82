// A jobset's way in and out: records in chunks of a fixed size, so that neither side ever holds all of them.
import { createHash } from 'node:crypto';
import type { EvaluationRecord } from '@eka-ci/core/evaluation';
import type { JobsetCounts, JobsetId, JobsetKey, Jobsets, NewJobset, StoredJobset } from '../database.ts';
import { DatabaseError } from '../database-error.ts';
import type { JobsetCalls, JobsetRow } from './jobsets.ts';

/** About 200 kB of text: large enough to compress well, small enough to be nothing in memory. */
const recordsAtOnce = 512;

/** The same text for equal keys: order of properties fixed, systems sorted and each once. */
const keyText = (key: JobsetKey): string =>
  JSON.stringify({
    tree: key.tree,
    commit: key.commit,
    jobDefinition: key.jobDefinition,
    systems: [...new Set(key.systems)].sort(),
    evaluator: key.evaluator,
    evaluatorVersion: key.evaluatorVersion,
    settings: key.settings,
  });

const digestOf = (keyJson: string): string => createHash('sha256').update(keyJson).digest('hex');

// Casts of our own rows: only `keyText` and `saveRecords` wrote them; a change of their shape is a migration.
const storedOf = (row: JobsetRow): StoredJobset => ({
  id: row.id as JobsetId,
  key: JSON.parse(row.keyJson) as JobsetKey,
  counts: row.counts,
  completedAtMs: row.completedAtMs,
});
const recordsOf = (json: string): readonly EvaluationRecord[] => JSON.parse(json) as EvaluationRecord[];

const countOf: Record<EvaluationRecord['kind'], keyof JobsetCounts> = {
  derivation: 'derivations',
  unavailable: 'unavailable',
  failed: 'failed',
};

const saveRecords = async (calls: JobsetCalls, id: number, records: NewJobset['records']) => {
  const counts = { derivations: 0, unavailable: 0, failed: 0 };
  let chunks = 0;
  let waiting: EvaluationRecord[] = [];
  for await (const batch of records) {
    for (const record of batch) {
      counts[countOf[record.kind]]++;
      waiting.push(record);
      if (waiting.length < recordsAtOnce) continue;
      await calls.appendChunk(id, chunks++, JSON.stringify(waiting));
      waiting = [];
    }
  }
  if (waiting.length > 0) await calls.appendChunk(id, chunks++, JSON.stringify(waiting));
  return { counts, chunks };
};

const saveComplete = async (calls: JobsetCalls, jobset: NewJobset): Promise<StoredJobset> => {
  const keyJson = keyText(jobset.key);
  const id = await calls.beginDraft(digestOf(keyJson), keyJson);
  try {
    const saved = await saveRecords(calls, id, jobset.records);
    return storedOf(await calls.completeDraft({ id, ...saved, completedAtMs: jobset.completedAtMs }));
  } catch (error) {
    // A draft that cannot be removed either is never seen and goes when the database is next opened.
    await calls.remove(id).catch(() => {});
    throw error;
  }
};

const goneError = (id: number): DatabaseError =>
  new DatabaseError(
    'DATABASE_ROW_GONE',
    `jobset ${id} is not stored (any more): find it by its key again, else evaluate it again`,
  );

async function* readRecords(calls: JobsetCalls, id: JobsetId): AsyncGenerator<readonly EvaluationRecord[]> {
  const chunks = await calls.chunkCount(id);
  if (chunks === null) throw goneError(id);
  for (let position = 0; position < chunks; position++) {
    const json = await calls.chunk(id, position);
    if (json === null) throw goneError(id);
    yield recordsOf(json);
  }
}

export const jobsetsOver = (calls: JobsetCalls): Jobsets => ({
  saveComplete: (jobset) => saveComplete(calls, jobset),
  async find(key) {
    const row = await calls.find(digestOf(keyText(key)));
    return row === null ? null : storedOf(row);
  },
  records: (id) => readRecords(calls, id),
  remove: (id) => calls.remove(id),
  forget: (completedBeforeMs) => calls.forget(completedBeforeMs),
});
