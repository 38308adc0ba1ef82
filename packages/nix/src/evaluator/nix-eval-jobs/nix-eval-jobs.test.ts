import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findNix } from '../../installation.ts';
import { describeEvaluator } from '../evaluator.contract.ts';
import type { EvaluationRequest } from '../evaluator.ts';
import { collectEvaluation } from '../testing/collect.ts';
import { makeTemporaryStore, type TemporaryStore } from '../testing/temporary-store.ts';
import { createNixEvalJobsEvaluator, evalJobsArguments } from './nix-eval-jobs.ts';
import { parseJobLine } from './schema.ts';
import { toRecord } from './to-record.ts';

const installed = (await findNix(process.env).catch(() => null))?.programs.evalJobs ?? null;

describe.skipIf(installed === null)('the contract (skipped where nix-eval-jobs is not on PATH)', () => {
  describeEvaluator('nix-eval-jobs', { make: (nix) => createNixEvalJobsEvaluator(nix) });
});

const context = {
  storeDir: '/nix/store',
  roots: ['/build/source'],
  allowNetwork: false,
  rootName: 'default',
};

describe('a line of nix-eval-jobs', () => {
  it('that is an error gives kind, message and position', () => {
    const error =
      "error:\n       … while evaluating the attribute 'drvPath'\n         at /build/source/a.nix:3:5:\n            2| {\n\n       … while calling the 'throw' builtin\n         at /build/source/b.nix:7:9:\n            6|\n\n       error: this one is\n       gone";
    const line = parseJobLine(JSON.stringify({ attr: 'a."b.c"', attrPath: ['a', 'b.c'], error }));
    if (line === undefined) throw new Error('not parsed');
    expect(toRecord(line, context)).toEqual({
      kind: 'failed',
      attr: 'a."b.c"',
      attrPath: ['a', 'b.c'],
      failure: {
        kind: 'other',
        message: 'this one is\ngone',
        position: { file: 'b.nix', line: 7, column: 9 },
      },
    });
  });

  it('in which nixpkgs refuses gives the reason', () => {
    const error =
      'error: Package ‘x-1’ in /build/source/x.nix:3 has an unfree license (‘unfree’), refusing to evaluate.';
    const line = parseJobLine(JSON.stringify({ attr: 'x', attrPath: ['x'], error }));
    expect(line && toRecord(line, context)).toMatchObject({
      kind: 'unavailable',
      reasons: ['unfree'],
      meta: { unfree: true },
    });
  });

  it('that names no derivation fails', () => {
    const line = parseJobLine(JSON.stringify({ attr: 'x', attrPath: ['x'], drvPath: '/etc/passwd' }));
    expect(line && toRecord(line, context)).toMatchObject({ kind: 'failed' });
  });

  it.each([
    '',
    '{',
    'null',
    '{"attr":"x"}',
    '{"attr":"x","attrPath":["x"],"drvPath":7}',
    '{"attr":"x","attrPath":["x"],"drvP',
  ])('that is cut short or of another form is none: %s', (line) =>
    expect(parseJobLine(line)).toBeUndefined(),
  );
});

describe('the program nix-eval-jobs', () => {
  let store: TemporaryStore;
  beforeAll(async () => {
    store = await makeTemporaryStore();
  });
  afterAll(() => store.remove());

  const evaluateWith = async (script: string) => {
    const program = join(store.folder, 'nix-eval-jobs');
    writeFileSync(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const nix = { ...store.nix, programs: { ...store.nix.programs, evalJobs: program } };
    const tree = await store.tree({ 'default.nix': '{ }' });
    return collectEvaluation(createNixEvalJobsEvaluator(nix), {
      tree,
      target: { kind: 'file', file: 'default.nix', attrPath: [] },
      limits: { workers: 2, maxMemoryMib: 512, timeoutMs: 20_000 },
      allowImportFromDerivation: false,
      allowNetwork: false,
      sandbox: 'preferred',
      rootsDir: join(store.folder, 'roots'),
    });
  };
  const good = '{"attr":"x","attrPath":["x"],"error":"error: no"}';

  it('that ends well is complete', async () => {
    const seen = await evaluateWith(`echo '${good}'; echo 'warning: hm' >&2`);
    expect(seen.end).toMatchObject({ kind: 'complete', records: 1 });
    expect(seen.logs).toEqual(['warning: hm']);
  });

  it.each([
    ['is killed', `echo '${good}'; kill -9 $$`, 'killed'],
    ['fails', `echo '${good}'; echo 'error: undefined variable' >&2; exit 1`, 'syntax'],
    ['is cut short', `echo '${good}'; printf '{"attr":"y","attr'`, 'killed'],
  ])('that %s is no jobset', async (_what, script, kind) => {
    expect((await evaluateWith(script)).end).toMatchObject({ kind: 'failed', failure: { kind } });
  });

  it('is given workers, memory, roots and the root as an expression', async () => {
    const request: EvaluationRequest = {
      tree: '/t/source',
      target: { kind: 'flake', output: 'checks', systems: ['x86_64-linux'], rev: null, lastModified: null },
      limits: { workers: 3, maxMemoryMib: 700, timeoutMs: 1 },
      allowImportFromDerivation: false,
      allowNetwork: false,
      sandbox: 'required',
      rootsDir: '/roots',
    };
    const confinement = {
      tree: '/build/source',
      readable: '/build',
      env: {},
      wrap: (c: readonly string[]) => c,
      dispose: async () => {},
    };
    const flake = { url: 'path:/build/source?narHash=x', storePath: '/nix/store/x' };
    const args = evalJobsArguments(store.nix, { request, confinement, flake });
    expect(args.join(' ')).toMatch(/--workers 3 --max-memory-size 700 --gc-roots-dir \/roots --meta/);
    expect(args.at(-1)).toContain('b.getFlake "path:/build/source?narHash=x"');
    expect(args).not.toContain('--impure');
  });
});
