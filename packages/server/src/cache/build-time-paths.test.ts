import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildTimePaths } from './build-time-paths.ts';
import { buildChain, dropPaths, runStore } from './testing/built-chain.ts';

const calm = new AbortController().signal;
let store: PrivateStore;
beforeAll(async () => {
  store = await createPrivateStore();
});
afterAll(() => store.remove());

it('are what it was built from, whether it still refers to that or not, as far as it is in the store', async () => {
  const { drv, paths } = await buildChain(store);
  expect(new Set(await buildTimePaths(store.nix, [drv, drv], calm))).toEqual(new Set(paths));
  const [low] = paths;
  const tool = await store.instantiate(`rec {
    tool = shell "tool" "echo > $out" {};
    made = shell "made" "test -e $tool; echo > $out; echo > $doc" { inherit tool; outputs = [ "out" "doc" ]; src = builtins.toFile "src" "text"; };
  }`);
  await runStore(store, ['--realise', tool['made'] ?? '']);
  const needed = await buildTimePaths(store.nix, [drv, tool['made']!], calm);
  const names = needed.map((path) => path.slice(store.nix.storeDir.length + 34));
  expect(names).toEqual(expect.arrayContaining(['tool', 'made', 'made-doc', 'src']));
  expect(needed).toHaveLength(paths.length + 4);
  expect(names.filter((name) => name.endsWith('.drv'))).toEqual([]);
  await dropPaths(store, paths.toReversed());
  expect(await buildTimePaths(store.nix, [drv], calm)).not.toContain(low);
});

it('are nothing for nothing, and no answer is an error', async () => {
  expect(await buildTimePaths(store.nix, [], calm)).toEqual([]);
  const lost = `${store.nix.storeDir}/${'0'.repeat(32)}-lost.drv` as Parameters<
    typeof buildTimePaths
  >[1][number];
  await expect(buildTimePaths(store.nix, [lost], calm)).rejects.toMatchObject({
    code: 'CACHE_NOT_ANSWERING',
  });
  const reason = new Error('enough');
  await expect(buildTimePaths(store.nix, [lost], AbortSignal.abort(reason))).rejects.toBe(reason);
});
