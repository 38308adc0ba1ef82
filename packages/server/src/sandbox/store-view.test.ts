// What is shown of a store where many mounts at once cannot be made: fewer, or nothing at all.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StorePath } from '@eka-ci/core/ids';
import { findProgram } from '@eka-ci/process';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeStoreView } from './store-view.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'eka-ci-view-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const pathsIn = (store: string, count: number): StorePath[] => {
  mkdirSync(store);
  return Array.from({ length: count }, (_, index) => {
    const path = join(store, `${String(index).padStart(32, '0')}-p`) as StorePath;
    mkdirSync(path);
    return path;
  });
};
const viewOf = (storePaths: readonly StorePath[], searchPath = '/nowhere') =>
  makeStoreView({ storePaths, folder: join(folder, 'view'), searchPath });

it('leaves all to bubblewrap where there is no other way, as many as that takes', async () => {
  const paths = pathsIn(join(folder, 'store'), 2901);
  const most = await viewOf([...paths.slice(1), ...paths.slice(1)]);
  expect(most).toMatchObject({ kind: 'made' });
  if (most.kind !== 'made') return;
  expect(most.view.enter(['bwrap'])).toEqual(['bwrap']);
  expect(most.view.shown.slice(2)).toEqual(paths.slice(1).map((path) => ({ from: path, at: path })));
  rmSync(join(folder, 'view'), { recursive: true });
  expect(await viewOf(paths)).toEqual({
    kind: 'refused',
    why: expect.stringMatching(
      /needs 2901 paths of the store: more than 2900 .*here they are not installed/,
    ) as unknown,
  });
});

it('believes no mount but one that can do it', async () => {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  symlinkSync(findProgram('unshare') ?? '', join(bin, 'unshare'));
  writeFileSync(join(bin, 'mount'), '#!/bin/sh\necho "unknown option" >&2\nexit 1\n', { mode: 0o755 });
  const made = await viewOf(pathsIn(join(folder, 'store'), 101), bin);
  expect(made.kind === 'made' && made.view.enter(['bwrap'])).toEqual(['bwrap']);
});

it('mounts many before, and has bubblewrap show one folder', async () => {
  const store = join(folder, 'store');
  const paths = pathsIn(store, 101);
  const link = join(store, `${'1'.repeat(32)}-link`) as StorePath;
  symlinkSync('/etc', link);
  const made = await viewOf([...paths, link], process.env['PATH']);
  expect(made).toMatchObject({ kind: 'made' });
  if (made.kind !== 'made') return;
  expect(made.view.shown.map(({ at }) => at)).toEqual(['/nix/store', store]);
  expect(made.view.enter(['bwrap']).at(-1)).toBe('bwrap');
  expect(readdirSync(made.view.shown[1]?.from ?? '')).toHaveLength(102);
});
