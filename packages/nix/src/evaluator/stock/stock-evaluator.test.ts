import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeEvaluator } from '../evaluator.contract.ts';
import type { EvaluationRequest } from '../evaluator.ts';
import { collectEvaluation } from '../testing/collect.ts';
import { drv } from '../testing/package-sets.ts';
import { makeTemporaryStore, type TemporaryStore } from '../testing/temporary-store.ts';
import { createStockEvaluator } from './stock-evaluator.ts';

describeEvaluator('stock', { make: (nix) => createStockEvaluator(nix) });

describe('the stock evaluator', () => {
  let store: TemporaryStore;
  beforeAll(async () => {
    store = await makeTemporaryStore();
  });
  afterAll(() => store.remove());

  const request = (tree: string, more: Partial<EvaluationRequest> = {}): EvaluationRequest => ({
    tree,
    target: { kind: 'file', file: 'default.nix', attrPath: [] },
    limits: { workers: 1, maxMemoryMib: 512, timeoutMs: 60_000 },
    allowImportFromDerivation: true,
    allowNetwork: false,
    sandbox: 'preferred',
    rootsDir: join(store.folder, 'roots'),
    ...more,
  });

  it('builds while evaluating where that is allowed, with the settings it was given', async () => {
    const built = `(derivation { name = "made.nix"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo hello from the builder; echo '{ name = \\"imported\\"; }' > $out" ]; })`;
    const tree = await store.tree({
      'default.nix': `{ a = ${drv('x').replace('"x"', `(import ${built}).name`)}; }`,
    });
    const evaluator = createStockEvaluator(store.nix, { buildSettings: { sandbox: 'false' } });
    const seen = await collectEvaluation(evaluator, request(tree));
    expect(seen.records).toMatchObject([{ kind: 'derivation', name: 'imported' }]);
    expect(seen.logs.join('\n')).toContain('hello from the builder');
  });

  it('takes no derivation that is addressed by its content, whatever the configuration of the machine says', async () => {
    const floating = drv('f').replace(
      'derivation {',
      'derivation { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256";',
    );
    const tree = await store.tree({
      'default.nix': `{ a = ${floating}; }`,
      'flake.nix': `{ outputs = _: { packages.x86_64-linux.a = (import ./default.nix).a; }; }`,
    });
    const own = await makeTemporaryStore();
    try {
      const settings = 'experimental-features = ca-derivations nix-command flakes\n';
      await appendFile(join(own.nix.confDir, 'nix.conf'), settings);
      await writeFile(join(own.folder, 'user.conf'), settings);
      const more = { NIX_CONFIG: settings, NIX_USER_CONF_FILES: join(own.folder, 'user.conf') };
      const evaluator = createStockEvaluator({ ...own.nix, env: { ...own.nix.env, ...more } });
      const flake = { kind: 'flake', output: 'packages', systems: ['x86_64-linux'] } as const;
      for (const target of [
        { kind: 'file', file: 'default.nix', attrPath: [] },
        { ...flake, rev: null, lastModified: null },
      ] as const) {
        const seen = await collectEvaluation(
          evaluator,
          request(tree, { target, rootsDir: join(own.folder, 'r') }),
        );
        expect(seen.records, JSON.stringify(seen.end)).toMatchObject([
          {
            kind: 'failed',
            failure: { message: expect.stringMatching(/^__contentAddressed is not sup/) as string },
          },
        ]);
      }
    } finally {
      await own.remove();
    }
  });

  it('gives no jobset for a set that holds itself, and says so', async () => {
    const tree = await store.tree({
      'default.nix': 'let set = { recurseForDerivations = true; inner = set; }; in set',
    });
    const seen = await collectEvaluation(createStockEvaluator(store.nix), request(tree));
    expect(seen.end.kind).toBe('failed');
    if (seen.end.kind === 'failed') expect(seen.end.failure.message).toContain('hold itself');
  });

  it('starts few processes where nothing fails', async () => {
    const packages = Array.from({ length: 60 }, (_, index) => `p${index} = ${drv(`p${index}`)};`).join('\n');
    const tree = await store.tree({ 'default.nix': `{ ${packages} }` });
    const seen = await collectEvaluation(createStockEvaluator(store.nix), request(tree));
    expect(seen.end).toMatchObject({ kind: 'complete', records: 60 });
    if (seen.end.kind === 'complete') expect(seen.end.processes).toBeLessThan(9);
  });
});
