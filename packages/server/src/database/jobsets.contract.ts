// Contract of the port's jobsets.
import type { EvaluationRecord } from '@eka-ci/core/evaluation';
import type { CommitSha, TreeSha } from '@eka-ci/core/ids';
import { expect, it } from 'vitest';
import type { Database, JobsetId, JobsetKey } from './database.ts';
import { collect, newPath } from './testing/samples.ts';

let keysMade = 0;

const newKey = (): JobsetKey => ({
  tree: `tree${keysMade++}` as TreeSha,
  commit: null,
  jobDefinition: 'definition',
  systems: ['x86_64-linux', 'aarch64-linux'],
  evaluator: 'stock',
  evaluatorVersion: '2.8.0',
  settings: 'settings',
});

const maintained = { maintainers: ['ü'], maintainerIds: [2 ** 52 + 1] };
const meta = { pname: 'p', version: '1', licenses: ['MIT'], ...maintained, position: 'a.nix:1' };
const flags = { broken: true, insecure: false, unfree: false, unsupported: false };

const newRecord = (index: number): EvaluationRecord => {
  const identity = { attr: `set."a.${index}"`, attrPath: ['set', `a.${index}`] };
  const position = { file: 'default.nix', line: 1, column: 2 };
  if (index % 10 === 1)
    return { ...identity, kind: 'failed', failure: { kind: 'throw', message: 'no', position } };
  if (index % 10 === 2)
    return { ...identity, kind: 'unavailable', reasons: ['broken'], meta: { ...meta, ...flags } };
  const outputs = { out: '/nix/store/x', dev: null };
  const drvPath = newPath();
  return {
    ...identity,
    kind: 'derivation',
    name: 'n',
    system: 's',
    drvPath,
    outputs,
    meta: null,
    metaError: 'no meta',
  };
};

async function* inBatches<T>(all: readonly T[], size: number): AsyncGenerator<readonly T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
}

export const jobsetContract = (given: () => Database): void => {
  it('keeps every record in its order, and counts them', async () => {
    const { jobsets } = given();
    const key = newKey();
    const records = Array.from({ length: 2345 }, (_, index) => newRecord(index));
    const saved = await jobsets.saveComplete({ key, records: inBatches(records, 7), completedAtMs: 42 });
    expect(saved).toMatchObject({
      counts: { derivations: 1875, unavailable: 235, failed: 235 },
      completedAtMs: 42,
    });
    expect(await jobsets.find({ ...key, systems: [...key.systems].reverse() })).toEqual(saved);
    expect(await collect(jobsets.records(saved.id))).toEqual(records);
    await jobsets.remove(saved.id);
    await jobsets.remove(saved.id);
    expect(await jobsets.find(key)).toBeNull();
    await expect(collect(jobsets.records(saved.id))).rejects.toMatchObject({ code: 'DATABASE_ROW_GONE' });
  });

  it('answers only the very question', async () => {
    const { jobsets } = given();
    const key = newKey();
    const empty = await jobsets.saveComplete({ key, records: [], completedAtMs: 1 });
    expect(empty.counts).toEqual({ derivations: 0, unavailable: 0, failed: 0 });
    expect(await collect(jobsets.records(empty.id))).toEqual([]);
    const others: Partial<JobsetKey>[] = [
      { tree: 'other' as TreeSha },
      { commit: 'abc' as CommitSha },
      { jobDefinition: 'other' },
      { systems: ['x86_64-linux'] },
      { evaluator: 'other' },
      { evaluatorVersion: '2.8.1' },
      { settings: 'other' },
    ];
    for (const other of others) expect(await jobsets.find({ ...key, ...other })).toBeNull();
    expect(await jobsets.find(key)).toEqual(empty);
  });

  it('shows nothing of a jobset before its end, nor of one whose evaluation died', async () => {
    const { jobsets } = given();
    const key = newKey();
    async function* dying(): AsyncGenerator<EvaluationRecord[]> {
      yield Array.from({ length: 600 }, (_, index) => newRecord(index));
      expect(await jobsets.find(key)).toBeNull();
      throw new RangeError('the evaluator died');
    }
    const saving = jobsets.saveComplete({ key, records: dying(), completedAtMs: 1 });
    await expect(saving).rejects.toThrow(RangeError);
    expect(await jobsets.find(key)).toBeNull();
  });

  it('keeps the first of two complete jobsets with one key', async () => {
    const { jobsets } = given();
    const key = newKey();
    const records = [[newRecord(0)]];
    const [one, two] = await Promise.all([
      jobsets.saveComplete({ key, records, completedAtMs: 1 }),
      jobsets.saveComplete({ key, records, completedAtMs: 1 }),
    ]);
    expect(two).toEqual(one);
    expect(await collect(jobsets.records(one.id))).toEqual(records.flat());
    await expect(collect(jobsets.records(-1 as JobsetId))).rejects.toMatchObject({
      code: 'DATABASE_ROW_GONE',
    });
  });
};
