import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findNix } from '../../installation.ts';
import { describeEvaluator } from '../evaluator.contract.ts';
import type { EvaluationLimits } from '../evaluator.ts';
import { createStockEvaluator } from '../stock/stock-evaluator.ts';
import { collectEvaluation } from '../testing/collect.ts';
import { badSet, drv, packageSet } from '../testing/package-sets.ts';
import { makeTemporaryStore, type TemporaryStore } from '../testing/temporary-store.ts';
import { createNixEvalJobsEvaluator } from './nix-eval-jobs.ts';
import { parseJobLine } from './schema.ts';
import { toOutcome } from './to-outcome.ts';

const installed = (await findNix(process.env).catch(() => null))?.programs.evalJobs ?? null;

let store: TemporaryStore;
beforeAll(async () => {
  store = await makeTemporaryStore();
});
afterAll(() => store.remove());

const limits: EvaluationLimits = { workers: 2, maxMemoryMib: 512, timeoutMs: 20_000 };

const target = { kind: 'file', file: 'default.nix', attrPath: [] } as const;
const requestFor = (tree: string, more: Partial<EvaluationLimits> = {}) =>
  ({
    tree,
    target,
    limits: { ...limits, ...more },
    allowImportFromDerivation: false,
    allowNetwork: false,
    sandbox: 'preferred',
    rootsDir: join(store.folder, 'roots'),
  }) as const;

/** What nix-eval-jobs and the rule of `look` could see differently. */
const oddSet = `{
  callable = { x ? 1 }: ${drv('callable')};
  functor = { __functor = self: x: ${drv('functor')}; };
  both = ${drv('both')} // { __functor = self: { x ? 1 }: ${drv('not-both')}; };
  a.b = ${drv('dotted')};
  "a\\".\\"b" = ${drv('quoted')};
  "" = ${drv('nameless')};
  "7" = ${drv('seven')};
  "x y" = ${drv('spaced')};
  "100%" = ${drv('percent')};
  "%22" = throw "escaped";
  "c\\\\d" = ${drv('backslash')};
  "\\\${e}" = throw "dollar";
  outputs = ${drv('outputs')} // { outputs = 7; };
  unsure = { recurseForDerivations = "yes"; y = ${drv('unsure')}; };
  deep = { recurseForDerivations = true; set = { recurseForDerivations = true; z = ${drv('z')}; bad = throw "deep"; }; };
  recurseForDerivations = false;
}`;

describe.skipIf(installed === null)('the contract (skipped where nix-eval-jobs is not on PATH)', () => {
  describeEvaluator('nix-eval-jobs', { make: (nix) => createNixEvalJobsEvaluator(nix) });
  describeEvaluator('nix-eval-jobs over a daemon', {
    make: (nix) => createNixEvalJobsEvaluator(nix),
    daemon: true,
    isCarrier: true,
  });

  it.each([
    ['a package set', packageSet],
    ['a set that fails in every way', badSet],
    ['an odd set', oddSet],
    ['one derivation', drv('alone')],
  ])('gives of %s what the stock driver gives', async (_what, text) => {
    const tree = await store.tree({ 'default.nix': text, 'broken.nix': '{ a = 1 +; }\n' });
    const recordsOf = async (create: typeof createStockEvaluator) => {
      const { records, end } = await collectEvaluation(create(store.nix), requestFor(tree));
      expect(end).toMatchObject({ kind: 'complete', records: records.length });
      return records.toSorted((a, b) => (a.attr < b.attr ? -1 : 1));
    };
    const ours = await recordsOf(createNixEvalJobsEvaluator);
    expect(ours.length).toBeGreaterThan(0);
    expect(ours).toEqual(await recordsOf(createStockEvaluator));
  });

  it('fails of a set that holds itself as the stock driver does', async () => {
    const tree = await store.tree({
      'default.nix': `let s = { recurseForDerivations = true; s = s; p = ${drv('p')}; }; in s`,
    });
    const seen = await collectEvaluation(createNixEvalJobsEvaluator(store.nix), requestFor(tree));
    expect(seen.end).toMatchObject({
      kind: 'failed',
      failure: { message: expect.stringContaining('hold itself') as string },
    });
  });
});

describe('a line of nix-eval-jobs', () => {
  const context = { storeDir: '/nix/store', target, roots: ['/build/source'] };
  const meta = {
    ...{ pname: 'x', version: '1', licenses: [], maintainers: [], maintainerIds: [], position: null },
    ...{ broken: false, insecure: false, unfree: true, unsupported: false },
  };
  const facts = (drvPath: string) => JSON.stringify({ drvPath, known: true });
  const outcomeOf = (line: object) => {
    const parsed = parseJobLine(JSON.stringify({ attr: 'x', attrPath: ['x'], ...line }));
    if (parsed === undefined) throw new Error('not parsed');
    return toOutcome(parsed, context);
  };

  it('that is an error is for the stock driver', () => {
    expect(outcomeOf({ error: 'error: gone' })).toEqual({ kind: 'left', path: ['x'], throws: false });
    const said = { error: 'error: gone', extraValue: { facts: facts('/x'), meta: null } };
    expect(outcomeOf(said)).toMatchObject({ kind: 'left', throws: false });
    const free = { facts: null, meta: JSON.stringify({ ...meta, unfree: false }) };
    expect(outcomeOf({ error: 'error: gone', extraValue: free })).toMatchObject({
      kind: 'left',
      throws: true,
    });
  });

  it('of a package that refuses gives the reason', () => {
    const extraValue = { facts: null, meta: JSON.stringify(meta) };
    expect(outcomeOf({ error: 'error: unfree', extraValue })).toMatchObject({
      kind: 'record',
      record: { kind: 'unavailable', reasons: ['unfree'], meta: { unfree: true } },
    });
  });

  it('that names no derivation fails', () => {
    const line = {
      drvPath: '/etc/passwd',
      extraValue: { facts: facts('/etc/passwd'), meta: JSON.stringify(meta) },
    };
    expect(outcomeOf(line)).toMatchObject({ kind: 'record', record: { kind: 'failed' } });
  });

  it.each([
    { drvPath: '/x' },
    { drvPath: '/x', extraValue: null },
    { drvPath: '/x', extraValue: { facts: facts('/y'), meta: JSON.stringify(meta) } },
    { drvPath: '/x', extraValue: { facts: facts('/x'), meta: null } },
    { drvPath: '/x', extraValue: { facts: facts('/x'), meta: '{}' } },
  ])('that says less than is needed, or something else, is for the stock driver: %j', (line) => {
    expect(outcomeOf(line)).toMatchObject({ kind: 'left', throws: false });
  });

  it.each(['', '{', 'null', '{"attr":"x"}', '{"attrPath":["x"],"drvPath":7}', '{"attrPath":["x"],"drvP'])(
    'that is cut short or of another form is none: %s',
    (line) => expect(parseJobLine(line)).toBeUndefined(),
  );
});

describe('the program nix-eval-jobs', () => {
  const evaluateWith = async (script: string, text: string, more: Partial<EvaluationLimits> = {}) => {
    const program = join(store.folder, 'nix-eval-jobs');
    writeFileSync(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const nix = { ...store.nix, programs: { ...store.nix.programs, evalJobs: program } };
    const tree = await store.tree({ 'default.nix': text });
    return collectEvaluation(createNixEvalJobsEvaluator(nix), requestFor(tree, more));
  };
  const left = (name: string) => `{"attr":"${name}","attrPath":["${name}"],"error":"error: no"}`;
  const set = `{ x = throw "no"; y = ${drv('y')}; }`;
  const attrsOf = ({ records }: Awaited<ReturnType<typeof evaluateWith>>) =>
    records.map(({ attr, kind }) => `${attr} ${kind}`).toSorted();

  it('leaves what it has no record of to the stock driver, and nothing else', async () => {
    const seen = await evaluateWith(`echo '${left('x')}'; echo 'warning: hm' >&2`, set);
    expect(seen.end).toMatchObject({ kind: 'complete', records: 1 });
    expect(seen.records).toMatchObject([{ attr: 'x', failure: { kind: 'throw', message: 'no' } }]);
    expect(seen.warnings).toEqual([]);
  });

  it.each([
    ['is killed', `echo '${left('x')}'; kill -9 $$`],
    ['fails', `echo '${left('x')}'; echo 'error: undefined variable' >&2; exit 1`],
    ['is cut short', `echo '${left('x')}'; printf '{"attr":"y","attr'`],
    ['prints something else', `echo '${left('x')}'; echo hello; sleep 60`],
    ['says no more', `echo '${left('x')}'; exec sleep 60`],
  ])('that %s is done without', async (_what, script) => {
    const seen = await evaluateWith(script, set, { attributeTimeoutMs: 1000 });
    expect(seen.end).toMatchObject({ kind: 'complete', records: 2 });
    expect(attrsOf(seen)).toEqual(['x failed', 'y derivation']);
    expect(seen.warnings).toEqual([]);
  });

  it('that is too old is named', async () => {
    const seen = await evaluateWith(`echo "error: unrecognised flag '--apply'" >&2; exit 1`, set);
    expect(attrsOf(seen)).toEqual(['x failed', 'y derivation']);
    expect(seen.warnings).toEqual([
      expect.stringMatching(/^nix-eval-jobs gave no record \(status 1: .*'--apply'\): .* 2\.25 or newer/),
    ]);
  });

  it('and what it leaves have the time of one evaluation', async () => {
    const seen = await evaluateWith('exec sleep 60', set, { timeoutMs: 1500 });
    expect(seen.end).toMatchObject({
      kind: 'failed',
      failure: { kind: 'timeout', message: expect.stringContaining('after 1.5 s') as string },
    });
  });
});
