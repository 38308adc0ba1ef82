import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type EvaluationRecord, isPassing } from '@eka-ci/core/evaluation';
import type { EvaluationRequest, EvaluationTarget, Evaluator } from '@eka-ci/nix/evaluator/evaluator';
import { describeEvaluator } from '@eka-ci/nix/evaluator/evaluator.contract';
import { createStockEvaluator } from '@eka-ci/nix/evaluator/stock/stock-evaluator';
import { type Collected, collectEvaluation } from '@eka-ci/nix/evaluator/testing/collect';
import { badSet, drv, endless, packageSet } from '@eka-ci/nix/evaluator/testing/package-sets';
import { makeTemporaryStore, type TemporaryStore } from '@eka-ci/nix/evaluator/testing/temporary-store';
import type { NixInstallation } from '@eka-ci/nix/installation';
import { findMarked, runChild } from '@eka-ci/process';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type RunnersOfStore, serveStore } from '../testing/served-store.ts';
import { createSocketEvaluator } from './socket-evaluator.ts';

describeEvaluator('its runner behind a socket', {
  daemon: true,
  isCarrier: true,
  make: async (nix) => {
    const runners = await serveStore(nix);
    return {
      evaluator: createSocketEvaluator({ socketPath: runners.socketPath, nix }),
      remove: () => runners.close(),
    };
  },
});

const signal = new AbortController().signal;
const containing = (text: string): unknown => expect.stringContaining(text);

describe('an evaluation by a runner behind a socket', () => {
  let store: TemporaryStore;
  let runners: RunnersOfStore;
  let evaluator: Evaluator;
  beforeAll(async () => {
    store = await makeTemporaryStore({ daemon: true });
    runners = await serveStore(store.nix);
    evaluator = createSocketEvaluator({ socketPath: runners.socketPath, nix: store.nix });
  });
  afterAll(async () => {
    await runners.close();
    await store.remove();
  });

  const requestFor = (tree: string, more: Partial<EvaluationRequest> = {}): EvaluationRequest => ({
    tree,
    target: { kind: 'file', file: 'default.nix', attrPath: [] },
    limits: { workers: 1, maxMemoryMib: 1024, timeoutMs: 60_000 },
    allowImportFromDerivation: false,
    allowNetwork: false,
    sandbox: 'required',
    rootsDir: join(store.folder, 'roots'),
    ...more,
  });

  /** All of what a checkout can hold that is no plain file. */
  const oddTree = async (): Promise<string> => {
    const tree = await store.tree({
      'default.nix': `{
        whole = ${drv('whole', 'src = ./.;')};
        listed = ${drv('listed', 'names = builtins.toJSON (builtins.readDir ./.);')};
        inner = import ./vendor/module;
        set = { recurseForDerivations = true; } // import ./set.nix { };
        bad = { recurseForDerivations = true; } // import ./bad.nix;
      }`,
      'set.nix': packageSet,
      'bad.nix': badSet,
      'broken.nix': '{ a = 1 +; }\n',
      'vendor/module/default.nix': `${drv('module', 'src = ./.;')}`,
      'flake.nix': `{ outputs = { self }: {
        packages.x86_64-linux.default = ${drv('flake', 'src = self; at = toString self.lastModified;')};
        devShells.x86_64-linux.default = ${drv('shell', 'shellHook = "echo ${./run.sh}";')};
      }; }`,
      'run.sh': '#!/bin/sh\n',
      'name with "quotes" and spaces\n': 'odd',
    });
    chmodSync(join(tree, 'run.sh'), 0o755);
    mkdirSync(join(tree, 'empty'));
    symlinkSync('run.sh', join(tree, 'link'));
    symlinkSync('/nowhere/at/all', join(tree, 'dangling'));
    writeFileSync(Buffer.from(`${tree}/\xff\xfe`, 'latin1'), 'a name in no encoding');
    return tree;
  };

  const printed = ({ records }: Collected): string[] =>
    records.toSorted((a, b) => (a.attr < b.attr ? -1 : 1)).map((record) => JSON.stringify(record));

  const flake = { kind: 'flake', systems: ['x86_64-linux'], rev: null, lastModified: 1_700_000_000 } as const;
  it.each<[what: string, target: EvaluationTarget]>([
    ['a set, with what fails in it', { kind: 'file', file: 'default.nix', attrPath: [] }],
    ['a development shell', { kind: 'file', file: 'default.nix', attrPath: ['inner'], isShell: true }],
    ['a flake', { ...flake, output: 'packages' }],
    ['a development shell of a flake', { ...flake, output: 'devShells', shell: 'default' }],
  ])('gives what the server itself would give, to the byte: %s', async (_what, target) => {
    const tree = await oddTree();
    const request = requestFor(tree, { target });
    const [there, here] = await Promise.all([
      collectEvaluation(evaluator, request),
      collectEvaluation(createStockEvaluator(store.nix), request),
    ]);
    expect(here.end.kind).toBe('complete');
    expect(printed(there)).toEqual(printed(here));
    expect(there.warnings).toEqual(here.warnings);
  });

  const derivations = (records: readonly EvaluationRecord[]): string[] =>
    records.flatMap((record) => (record.kind === 'derivation' ? [record.drvPath] : []));

  it('keeps what it told of, though nobody has rooted it yet and its worker has gone', async () => {
    const tree = await store.tree({
      'default.nix': `{ a = ${drv('held')}; b = abort "ends the worker"; c = ${endless}; }`,
    });
    const told: EvaluationRecord[] = [];
    const limits = { workers: 1, maxMemoryMib: 512, timeoutMs: 60_000 };
    for await (const event of evaluator.evaluate(requestFor(tree, { limits }), signal)) {
      if (event.type === 'record') told.push(event.record);
      if (event.type !== 'worker-restarted') continue;
      const { nix } = store;
      const collected = await runChild({ command: nix.programs.store, args: ['--gc'], env: nix.env });
      expect(collected).toMatchObject({ code: 0 });
      break;
    }
    expect(derivations(told)).toHaveLength(1);
    expect(derivations(told).filter((path) => !existsSync(path))).toEqual([]);
  });

  /** Processes of Nix in the sandbox of an evaluation in this store. */
  const confined = async (): Promise<readonly number[]> => {
    const ofStore = await findMarked({ name: 'NIX_STORE_DIR', value: store.nix.storeDir });
    const inside = await findMarked({ name: 'HOME', value: '/build/home' });
    return ofStore.filter((pid) => inside.includes(pid));
  };

  it('that is killed is no jobset, but may be asked for again; nothing of it is left', async () => {
    const tree = await store.tree({ 'default.nix': `{ a = ${drv('a')}; b = ${endless}; }` });
    const seen = await collectEvaluation(evaluator, requestFor(tree), {
      onEvent: (event) => {
        if (event.type === 'record') for (const runner of runners.running) runner.kill('SIGKILL');
      },
    });
    if (seen.end.kind !== 'failed') throw new Error(JSON.stringify(seen.end));
    expect(seen.end.failure).toMatchObject({
      kind: 'killed',
      message: containing('went away without an answer'),
    });
    expect(isPassing(seen.end.failure)).toBe(true);
    await vi.waitFor(async () => expect(await confined()).toEqual([]));
    // The next one removes what it left.
    const next = await collectEvaluation(evaluator, requestFor(await store.tree({ 'default.nix': '{ }' })));
    expect(next.end).toMatchObject({ kind: 'complete', records: 0 });
    await vi.waitFor(() => expect(readdirSync(runners.copies)).toEqual([]));
  });

  it('ends with whoever asked for it, though it has more to say than anybody reads', {
    timeout: 30_000,
  }, async () => {
    const long = 'x'.repeat(1900);
    const said = Array.from({ length: 3000 }, (_, at) => `(builtins.trace "${at} ${long}" null)`);
    const tree = await store.tree({
      'default.nix': `builtins.seq (builtins.deepSeq [ ${said.join(' ')} ] 1) { a = ${endless}; }`,
    });
    const { nix } = store;
    // It is not forced: it comes to its end by itself, or this test does not.
    const { socketPath } = runners;
    const patient = createSocketEvaluator({ socketPath, nix, patienceMs: 10 * 60_000 });
    for await (const event of patient.evaluate(requestFor(tree), signal)) {
      if (event.type === 'log') break;
    }
    await vi.waitFor(() => expect(runners.running.size).toBe(0));
  });

  it('says where its Nix is another one than the server has', async () => {
    const { socketPath } = runners;
    const request = requestFor(await store.tree({ 'default.nix': '{ }' }));
    const evaluateFor = (nix: NixInstallation): Promise<Collected> =>
      collectEvaluation(createSocketEvaluator({ socketPath, nix }), request);
    const upgraded = await evaluateFor({ ...store.nix, version: '1.0' });
    expect(upgraded.end).toMatchObject({ kind: 'complete' });
    expect(upgraded.warnings).toEqual([
      containing(`with Nix ${store.nix.version}, and the server was started with 1.0`),
    ]);
    const elsewhere = await evaluateFor({ ...store.nix, storeDir: '/other/store' });
    expect(elsewhere.end).toMatchObject({
      failure: { message: containing("the server's at /other/store: give") },
    });
  });

  it('throws what is our own fault', async () => {
    await expect(collectEvaluation(evaluator, requestFor('/nowhere/source'))).rejects.toThrow(/ENOENT/);
  });
});
