import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createWorkFolder, removeAbandonedFolders } from './work-folder.ts';

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

it('takes an owner for gone only where that is certain', () =>
  inTemporaryFolder(async (parent) => {
    const ours = await createWorkFolder('work-', parent);
    const text = await readFile(join(ours.path, 'owner.pid'), 'utf8');
    const [pid, namespace, start, boot, machine] = text.trim().split(' ');
    await ours.remove();
    const put = async (name: string, owner: readonly (string | undefined)[]): Promise<void> => {
      await mkdir(join(parent, `work-${name}`));
      await writeFile(join(parent, `work-${name}`, 'owner.pid'), `${owner.join(' ')}\n`);
    };
    const stays: Parameters<typeof put>[] = [
      ['alive', [pid, namespace, start, boot, machine]],
      ['of-an-older-version', [pid, namespace]],
      ['of-another-machine', ['999999999', namespace, '1', 'another-boot', 'another-machine']],
      ['of-another-container', ['999999999', 'pid:[1]', '1', boot, machine]],
      ['nobodys', ['-1', namespace]],
      ['unreadable', ['']],
    ];
    const goes: Parameters<typeof put>[] = [
      ['dead', ['999999999', namespace, start, boot, machine]],
      ['id-used-again', [pid, namespace, `${start}0`, boot, machine]],
      ['before-the-reboot', [pid, 'pid:[1]', start, 'another-boot', machine]],
    ];
    for (const made of [...stays, ...goes]) await put(...made);
    await mkdir(join(parent, 'outside'));
    await writeFile(join(parent, 'outside', 'owner.pid'), `999999999 ${namespace}\n`);
    await symlink(join(parent, 'outside'), join(parent, 'work-link'));
    await mkdir(join(parent, 'work-ownerless'));
    await mkdir(join(parent, 'work-ownerless-and-old'));
    await utimes(join(parent, 'work-ownerless-and-old'), 1, 1);
    expect(await removeAbandonedFolders(parent, 'work-', Date.now())).toBe(goes.length + 1);
    const left = ['outside', 'work-link', 'work-ownerless', ...stays.map(([name]) => `work-${name}`)];
    expect((await readdir(parent)).toSorted()).toEqual(left.toSorted());
  }));
