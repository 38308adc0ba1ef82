import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createWorkFolder } from './work-folder.ts';

const inTemporaryFolder = async (test: (folder: string) => Promise<void>): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'work-folder-test-'));
  try {
    await test(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

it('goes with all that is in it, write-protected folders included', () =>
  inTemporaryFolder(async (parent) => {
    const folder = await createWorkFolder('work-', parent);
    await mkdir(join(folder.path, 'sealed', 'inside'), { recursive: true });
    await writeFile(join(folder.path, 'sealed', 'inside', 'file'), 'text');
    await chmod(join(folder.path, 'sealed', 'inside'), 0o500);
    await chmod(join(folder.path, 'sealed'), 0o500);
    await folder.remove();
    await folder.remove();
    expect(await readdir(parent)).toEqual([]);
  }));

it('removes what a crashed run left, and nothing that somebody still uses', () =>
  inTemporaryFolder(async (parent) => {
    const abandoned = join(parent, 'work-abandoned');
    const elsewhere = join(parent, 'work-of-another-container');
    const halfMade = join(parent, 'work-half-made');
    const inUse = await createWorkFolder('work-', parent);
    await mkdir(abandoned);
    // No process has this id: it is above the kernel's largest.
    const [, namespace] = (await readFile(join(inUse.path, 'owner.pid'), 'utf8')).trim().split(' ');
    await writeFile(join(abandoned, 'owner.pid'), `999999999 ${namespace}\n`);
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, 'owner.pid'), '999999999 pid:[1]\n');
    await mkdir(halfMade);
    const next = await createWorkFolder('work-', parent);
    expect((await readdir(parent)).map((name) => join(parent, name)).toSorted()).toEqual(
      [elsewhere, halfMade, inUse.path, next.path].toSorted(),
    );
  }));
