// On a real store: what waits to be pushed survives a collection of garbage, and what was pushed does not.
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorePath } from '@eka-ci/core/ids';
import { createProcessRooting } from '@eka-ci/nix/gc-roots';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createPushRoots } from './push-roots.ts';

let store: PrivateStore;
beforeAll(async () => {
  store = await createPrivateStore();
});
afterAll(() => store.remove());

const nixStore = async (...args: readonly string[]): Promise<string> => {
  const run = await runChild({ command: store.nix.programs.store, args, env: store.nix.env });
  if (run.code !== 0) throw new Error(run.stderr);
  return run.stdout.trim();
};

it('keeps outputs until their publication needs them no more', async () => {
  const drvs = await store.instantiate(
    '{ a = shell "a" "echo a > $out" {}; b = shell "b" "echo b > $out" {}; }',
  );
  const [a = '', b = ''] = (await nixStore('--realise', ...Object.values(drvs))).split('\n') as StorePath[];
  const folder = join(store.folder, 'push-roots');
  const roots = createPushRoots(createProcessRooting(store.nix), folder);
  expect(await roots.keep(1, [a as StorePath])).toBeNull();
  expect(await roots.keep(2, [b as StorePath])).toBeNull();
  // Once more, as after a crash between the roots and the rows.
  expect(await roots.keep(2, [b as StorePath])).toBeNull();
  await nixStore('--gc');
  expect([existsSync(a), existsSync(b)]).toEqual([true, true]);
  await createPushRoots(createProcessRooting(store.nix), folder).release(new Set([2]));
  await nixStore('--gc');
  expect([existsSync(a), existsSync(b)]).toEqual([false, true]);
  expect(await readdir(folder)).toEqual(['push-2']);
  expect(await roots.keep(3, [a as StorePath])).toContain('could not be kept');
});
