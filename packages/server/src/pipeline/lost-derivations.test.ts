// What is done once more where a derivation is lost, and what is not; the whole story stands in failures.test.ts.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AttrOutcome } from '@eka-ci/core/attr-outcome';
import type { EvaluationRecord } from '@eka-ci/core/evaluation';
import type { DrvPath, TreeSha } from '@eka-ci/core/ids';
import { planRebuilds } from '@eka-ci/core/rebuild-plan';
import { evaluateSets } from '@eka-ci/core/testing/package-set';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Database } from '../database/database.ts';
import { openWarmDatabase } from '../database/kysely/sqlite/testing/warm-database.ts';
import { DerivationLostError } from './builds/build.ts';
import { createShellRoom } from './evaluation-room.ts';
import { createKeptJobsets, type JobsetQuestion, type KeptJobsets } from './kept-jobsets.ts';
import { onceMoreIfLost, refuseLost } from './lost-derivations.ts';

let folder: string;
let database: Database;
let kept: KeptJobsets;
let said: string[];
beforeEach(async () => {
  said = [];
  folder = await mkdtemp(join(tmpdir(), 'eka-ci-lost-'));
  database = await openWarmDatabase({ path: ':memory:', durability: 'process-death' });
  const nix = { version: '2.8.0', storeDir: folder };
  const store = createKeptJobsets({ database, nix, rootsDir: join(folder, 'roots'), clock: () => 1 });
  kept = store.beginUse();
});
afterEach(async () => {
  await database.close();
  await rm(folder, { recursive: true, force: true });
});

const question: JobsetQuestion = {
  tree: 'd'.repeat(40) as TreeSha,
  job: {
    name: 'packages',
    target: { kind: 'file', file: 'default.nix', attrPath: [] },
    systems: null,
    allowEvalFailures: true,
  },
  evaluator: 'stock',
  settings: {},
};
const recordOf = (attr: string): EvaluationRecord => ({
  kind: 'failed',
  attr,
  attrPath: [attr],
  failure: { kind: 'throw', message: 'no', position: null },
});
const once = <Result>(work: (jobsets: KeptJobsets | null) => Promise<Result>, signal?: AbortSignal) =>
  onceMoreIfLost(
    { kept, onLost: (message) => said.push(message), signal: signal ?? new AbortController().signal },
    work,
  );

/** Finds what was kept, or evaluates to that attribute and keeps it. @returns the attribute that was found */
const evaluate = async (jobsets: KeptJobsets | null, attr: string): Promise<string | null> => {
  if (jobsets === null) throw new Error('nothing is kept');
  const found = await jobsets.find(question, createShellRoom());
  if (found?.kind === 'complete') return found.jobset.records[0]?.attr ?? '';
  await jobsets.prepareRoots(question);
  await jobsets.keep(question, { job: 'packages', records: [recordOf(attr)] });
  return null;
};

it('forgets what was kept before it evaluates anew, and keeps what that gives', async () => {
  expect(await once((jobsets) => evaluate(jobsets, 'old'))).toBeNull();
  const found: (string | null)[] = [];
  const loses = async (jobsets: KeptJobsets | null): Promise<number> => {
    found.push(await evaluate(jobsets, 'new'));
    if (found.length === 1) throw new DerivationLostError('/nix/store/x.drv');
    return found.length;
  };
  expect(await once(loses)).toBe(2);
  expect(found).toEqual(['old', null]);
  expect(said).toEqual([expect.stringMatching(/evaluated anew, once, .*x\.drv is no longer in the store/)]);
  expect(await once((jobsets) => evaluate(jobsets, 'newer'))).toBe('new');
});

it('does nothing once more for another fault, for one that is cut short, or a third time', async () => {
  let calls = 0;
  const fails = (error: unknown) => () => {
    calls += 1;
    return Promise.reject(error instanceof Error ? error : new Error('no'));
  };
  await expect(once(fails(new Error('a bug')))).rejects.toThrow('a bug');
  const lost = new DerivationLostError('/nix/store/x.drv');
  await expect(once(fails(lost), AbortSignal.abort())).rejects.toBe(lost);
  expect([calls, said]).toEqual([2, []]);
  await expect(once(fails(lost))).rejects.toBe(lost);
  expect(calls).toBe(4);
});

it('takes a derivation that cannot be read for lost only where its file is gone', async () => {
  const plans = [planRebuilds(evaluateSets({}, { a: {}, b: {} }))];
  const there = join(folder, 'there.drv') as DrvPath;
  await writeFile(there, 'Derive(');
  const unread = (drvPath: DrvPath): AttrOutcome => ({
    state: 'dependency-failed',
    cause: 'invalid-derivation',
    culprit: { drvPath, name: 'it' },
  });
  await refuseLost(plans, { judged: () => unread(there) });
  await refuseLost(plans, { judged: () => ({ state: 'failed', cause: 'builder-exit' }) });
  const gone = join(folder, 'gone.drv') as DrvPath;
  await expect(refuseLost(plans, { judged: () => unread(gone) })).rejects.toMatchObject({ code: 'DRV_LOST' });
});
