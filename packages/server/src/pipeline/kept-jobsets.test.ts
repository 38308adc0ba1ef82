// Kept jobsets: the same question is answered from the database, another one and a stale one are not.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EvaluationRecord, Jobset } from '@eka-ci/core/evaluation';
import type { DrvPath, TreeSha } from '@eka-ci/core/ids';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Database } from '../database/database.ts';
import { openWarmDatabase } from '../database/kysely/sqlite/testing/warm-database.ts';
import type { Evaluation } from './evaluate.ts';
import { type CountedRoom, createEvaluationRoom } from './evaluation-room.ts';
import type { Job } from './jobs.ts';
import {
  createKeptJobsets,
  type JobsetQuestion,
  type JobsetsInUse,
  type KeptJobsetStore,
  rootsName,
} from './kept-jobsets.ts';
import { recordBytes } from './record-size.ts';

const job: Job = {
  name: 'packages',
  target: { kind: 'file', file: 'default.nix', attrPath: [] },
  systems: null,
  allowEvalFailures: true,
};
const question: JobsetQuestion = {
  tree: 'd'.repeat(40) as TreeSha,
  job,
  evaluator: 'stock',
  settings: { maxMemoryMib: 1, allowNetwork: false },
};

let folder: string;
let database: Database;
let store: KeptJobsetStore;
let kept: JobsetsInUse;
let drvPath: DrvPath;
let jobset: Jobset;
let found: Evaluation;

const room = (bytes = 100_000): CountedRoom => createEvaluationRoom({ bytes, because: 'which is little' });

const keptWith = (version: string): KeptJobsetStore =>
  createKeptJobsets({
    database,
    nix: { version, storeDir: folder },
    rootsDir: join(folder, 'roots'),
    clock: () => 1,
  });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eka-ci-kept-'));
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  store = keptWith('2.8.0');
  kept = store.beginUse();
  // Made here, so that the file can be taken away.
  drvPath = join(folder, `${'a'.repeat(32)}-hello-1.0.drv`) as DrvPath;
  await writeFile(drvPath, 'Derive(…)');
  const hello: EvaluationRecord = {
    kind: 'derivation',
    attr: 'hello',
    attrPath: ['hello'],
    name: 'hello-1.0',
    system: 'x86_64-linux',
    drvPath,
    outputs: { out: null },
    meta: null,
    metaError: null,
  };
  const failed: EvaluationRecord = {
    kind: 'failed',
    attr: 'thrown',
    attrPath: ['thrown'],
    failure: { kind: 'throw', message: 'no', position: null },
  };
  jobset = { job: 'packages', records: [hello, failed] };
  found = { kind: 'complete', jobset, warnings: [] };
});
afterEach(async () => {
  await database.close();
  await rm(folder, { recursive: true, force: true });
});

const evaluate = async (): Promise<void> => {
  await kept.prepareRoots(question);
  await kept.keep(question, jobset);
};

it('gives the jobset again for the same question, and for no other', async () => {
  expect(await kept.find(question, room())).toBeNull();
  await evaluate();
  expect(await kept.find(question, room())).toEqual(found);
  // What the job is called and whether failures are allowed changes no derivation.
  const renamed = { ...question, job: { ...job, name: 'all', allowEvalFailures: false } };
  expect(await kept.find(renamed, room())).toEqual({ ...found, jobset: { ...jobset, job: 'all' } });
  const others: JobsetQuestion[] = [
    { ...question, tree: 'e'.repeat(40) as TreeSha },
    { ...question, evaluator: 'nix-eval-jobs' },
    { ...question, settings: { ...question.settings, allowNetwork: true } },
    { ...question, job: { ...job, systems: ['x86_64-linux'] } },
    { ...question, job: { ...job, target: { kind: 'file', file: 'default.nix', attrPath: ['a'] } } },
  ];
  for (const other of others) expect(await kept.find(other, room())).toBeNull();
  expect(await keptWith('2.8.1').beginUse().find(question, room())).toBeNull();
});

it('is of no use once its derivations or their roots are gone', async () => {
  await evaluate();
  await rm(drvPath);
  expect(await kept.find(question, room())).toBeNull();
  await writeFile(drvPath, 'Derive(…)');
  // It was forgotten, not only passed over.
  expect(await kept.find(question, room())).toBeNull();
  await evaluate();
  await rm(join(folder, 'roots'), { recursive: true });
  expect(await kept.find(question, room())).toBeNull();
});

it('does not keep what may evaluate next time', async () => {
  for (const kind of ['network', 'out-of-memory', 'timeout', 'killed'] as const) {
    const record: EvaluationRecord = {
      kind: 'failed',
      attr: 'a',
      attrPath: ['a'],
      failure: { kind, message: 'later perhaps', position: null },
    };
    await kept.prepareRoots(question);
    await kept.keep(question, { job: 'packages', records: [record] });
    expect(await kept.find(question, room())).toBeNull();
  }
});

it('says whose roots a running judgement relies on, and survives their removal', async () => {
  await evaluate();
  const [name = ''] = await readdir(join(folder, 'roots'));
  expect(name).toMatch(rootsName);
  expect(store.isInUse(name)).toBe(true);
  const other = store.beginUse();
  expect(await other.find(question, room())).toEqual(found);
  kept.endUse();
  expect(store.isInUse(name)).toBe(true);
  other.endUse();
  expect(store.isInUse(name)).toBe(false);
  const third = store.beginUse();
  expect(await third.find(question, room())).toEqual(found);
  expect(store.isInUse(name)).toBe(true);
  await database.jobsets.forget(Number.MAX_SAFE_INTEGER);
  expect(await third.find(question, room())).toBeNull();
});

it('takes no roots from under another judgement that evaluated the same and goes on', async () => {
  const roots = await kept.prepareRoots(question);
  await writeFile(join(roots, 'link'), '');
  // It was not kept, so that the next one evaluates it anew.
  const other = store.beginUse();
  expect(await other.find(question, room())).toBeNull();
  expect(await other.prepareRoots(question)).toBe(roots);
  expect(await readdir(roots)).toEqual(['link']);
  kept.endUse();
  await other.prepareRoots(question);
  expect(await readdir(roots)).toEqual([]);
});

it('takes the room of what it gives, and of nothing else', async () => {
  await evaluate();
  const large = room();
  expect(await kept.find(question, large)).toEqual(found);
  const taken = large.taken();
  expect(taken).toBe(jobset.records.reduce((sum, record) => sum + recordBytes(record), 0));
  // Smaller than it was when that was kept.
  const small = room(taken - 1);
  expect(await kept.find(question, small)).toMatchObject({
    kind: 'failed',
    failure: { kind: 'other', message: expect.stringContaining('which is little') as string },
  });
  expect(small.taken()).toBe(0);
  // It is as good as before for whoever has more.
  expect(await kept.find(question, large)).toEqual(found);
  await rm(drvPath);
  expect(await kept.find(question, large)).toBeNull();
  expect(large.taken()).toBe(2 * taken);
});
