// Outputs that are rooted survive a collection of garbage, until their folder of roots is removed.
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createProcessRooting } from '@eka-ci/nix/gc-roots';
import { createPrivateStore, type PrivateStore } from '@eka-ci/nix/testing/private-store';
import { runChild } from '@eka-ci/process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createOutputRoots, outputRootsName } from './output-roots.ts';

let store: PrivateStore;
beforeAll(async () => {
  store = await createPrivateStore();
});
afterAll(() => store.remove());

const nixStore = async (...args: readonly string[]): Promise<string> => {
  const { nix } = store;
  const run = await runChild({ command: nix.programs.store, args, env: nix.env });
  if (run.code !== 0) throw new Error(run.stderr);
  return run.stdout.trim();
};

const build = async (name: string): Promise<string> => {
  const { made } = await store.instantiate(`{ made = shell "${name}" "echo ${name} > $out" { }; }`);
  return nixStore('--realise', String(made));
};

it('keeps outputs until its folder goes', async () => {
  const [kept, lost] = [await build('kept'), await build('lost')];
  const folder = join(store.folder, 'roots-outputs');
  const roots = createOutputRoots(createProcessRooting(store.nix), folder);
  roots.add([kept, '', kept]);
  expect(await roots.finish()).toBeNull();
  const names = await readdir(folder);
  expect(names).toEqual([expect.stringMatching(outputRootsName)]);
  await nixStore('--gc');
  expect([existsSync(kept), existsSync(lost)]).toEqual([true, false]);
  await rm(join(folder, String(names[0])), { recursive: true });
  await nixStore('--gc');
  expect(existsSync(kept)).toBe(false);
});

it('says what could not be kept, and makes nothing where there is nothing to keep', async () => {
  const folder = join(store.folder, 'none');
  expect(await createOutputRoots(createProcessRooting(store.nix), folder).finish()).toBeNull();
  expect(existsSync(folder)).toBe(false);
  const roots = createOutputRoots(createProcessRooting(store.nix), folder);
  roots.add([`${store.nix.storeDir}/${'a'.repeat(32)}-gone`]);
  expect(await roots.finish()).toMatch(/^store paths could not be kept from garbage collection/);
});
