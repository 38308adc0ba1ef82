import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { locateFile } from './local-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'local-file-')));
  await mkdir(join(folder, 'repository/.git'), { recursive: true });
  await mkdir(join(folder, 'repository/pkgs/tool'), { recursive: true });
  await writeFile(join(folder, 'repository/pkgs/tool/release.nix'), '');
});
afterEach(() => rm(folder, { recursive: true }));

const root = (): string => join(folder, 'repository');

it('is relative to the repository that holds it; a folder means its default.nix', async () => {
  const found = { kind: 'found', root: root() };
  expect(await locateFile(join(root(), 'pkgs/tool/release.nix'))).toEqual({
    ...found,
    file: 'pkgs/tool/release.nix',
  });
  expect(await locateFile(join(root(), 'pkgs'))).toEqual({ ...found, file: 'pkgs/default.nix' });
  expect(await locateFile(root())).toEqual({ ...found, file: 'default.nix' });
});

it('is found through links to its folder, and in a linked worktree', async () => {
  await symlink(join(root(), 'pkgs/tool'), join(folder, 'short'));
  expect(await locateFile(join(folder, 'short/release.nix'))).toEqual({
    kind: 'found',
    root: root(),
    file: 'pkgs/tool/release.nix',
  });
  await writeFile(join(root(), 'pkgs/.git'), 'gitdir: elsewhere');
  expect(await locateFile(join(root(), 'pkgs/tool/release.nix'))).toMatchObject({
    root: join(root(), 'pkgs'),
    file: 'tool/release.nix',
  });
});

it('is refused where it does not exist, or no repository holds it', async () => {
  const said = async (path: string) => locateFile(path);
  expect(await said(join(root(), 'none.nix'))).toMatchObject({
    kind: 'refused',
    message: expect.stringContaining('does not exist') as unknown,
  });
  await writeFile(join(folder, 'free.nix'), '');
  expect(await said(join(folder, 'free.nix'))).toMatchObject({
    message: expect.stringContaining('no git repository') as unknown,
  });
});
