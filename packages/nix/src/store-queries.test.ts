import type { DrvPath, StorePath } from '@eka-ci/core/ids';
import { runChild } from '@eka-ci/process';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chunkArguments, closureSizesOf, createStoreQueries, type StoreQueries } from './store-queries.ts';
import { createPrivateStore, type PrivateStore } from './testing/private-store.ts';

describe.each([{ daemon: false }, { daemon: true }])('questions to a store, daemon $daemon', ({ daemon }) => {
  let store: PrivateStore;
  let queries: StoreQueries;
  let drvs: Record<string, DrvPath>;
  let outputs: Record<string, StorePath>;
  const nothing = (name: string): StorePath => `${store.nix.storeDir}/${'0'.repeat(32)}-${name}` as StorePath;

  beforeAll(async () => {
    store = await createPrivateStore({
      daemon,
      config: 'substituters = http://127.0.0.1:9/\ndownload-attempts = 1',
    });
    queries = createStoreQueries(store.nix, { timeoutMs: 60_000 });
    drvs = await store.instantiate(`rec {
      base = shell "base" "head -c 1000 /dev/zero > $out" {};
      middle = shell "middle" "echo \${base} > $out" {};
      top = shell "top" "echo \${middle} \${base} $out > $out" {};
      unbuilt = shell "unbuilt" "echo \${top} > $out" {};
    }`);
    outputs = {};
    for (const name of ['base', 'middle', 'top']) {
      const built = await runChild({
        command: store.nix.programs.store,
        args: ['--realise', drvs[name]!, '--option', 'substitute', 'false'],
        env: store.nix.env,
      });
      outputs[name] = built.stdout.trim() as StorePath;
    }
  });
  afterAll(() => store.remove());

  it('says which paths are valid', async () => {
    expect(await queries.queryValid([drvs['top']!, outputs['top']!, nothing('a'), nothing('b.drv')])).toEqual(
      new Set([drvs['top'], outputs['top']]),
    );
    expect(await queries.queryValid([])).toEqual(new Set());
  });

  it('says what must be built, also when a substituter does not answer', async () => {
    expect(
      await queries.queryMissing([drvs['unbuilt']!, drvs['top']!, nothing('gone.drv') as string as DrvPath]),
    ).toEqual({
      willBuild: [drvs['unbuilt']],
      willSubstitute: [],
      unknown: [nothing('gone.drv')],
    });
  });

  it('knows sizes and references, and computes closures from them', async () => {
    const infos = await queries.queryClosure([outputs['top']!, nothing('a')]);
    const { base, middle, top } = outputs as { base: StorePath; middle: StorePath; top: StorePath };
    expect(new Set(infos.keys())).toEqual(new Set([base, middle, top]));
    expect(new Set(infos.get(top)?.references)).toEqual(new Set([base, middle, top]));
    const sizeOf = (path: StorePath): number => infos.get(path)?.narSize ?? 0;
    expect(sizeOf(base)).toBe(1112);
    expect(closureSizesOf([top, middle], infos)).toEqual(
      new Map([
        [top, sizeOf(top) + sizeOf(middle) + sizeOf(base)],
        [middle, sizeOf(middle) + sizeOf(base)],
      ]),
    );
    expect(await queries.queryPathInfo([middle, nothing('a')])).toEqual(
      new Map([[middle, infos.get(middle)]]),
    );
  });

  it('asks about more paths than an argument list takes', async () => {
    const many = Array.from({ length: 12_000 }, (_, index) => nothing(`p${'x'.repeat(120)}-${index}`));
    expect(await queries.queryValid([...many, outputs['top']!])).toEqual(new Set([outputs['top']]));
  });

  it('refuses with what Nix said', async () => {
    await expect(queries.queryValid(['nonsense' as StorePath])).rejects.toThrow(
      /which paths are valid.*nonsense/s,
    );
  });
});

describe('chunks of arguments', () => {
  it('keep order, lose nothing and stay within the limit', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), fc.integer({ min: 1, max: 100 }), (texts, limit) => {
        const chunks = chunkArguments(texts, limit);
        expect(chunks.flat()).toEqual(texts);
        for (const chunk of chunks) {
          const bytes = chunk.reduce((sum, text) => sum + Buffer.byteLength(text) + 9, 0);
          expect(chunk.length === 1 || bytes <= limit).toBe(true);
        }
      }),
    );
  });
});
