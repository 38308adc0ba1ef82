import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeSocketAccess, type FileRights, lookAtSocket } from './socket-access.ts';

const names = new Map([
  [0, 'root'],
  [7, 'eka-ci-sandbox'],
]);
const nameOf = (id: number): string => names.get(id) ?? String(id);

const path = '/run/some/sandbox.sock';
const file = (at: string, mode: number, uid: number, gid: number): FileRights => ({
  ...{ path: at, mode: 0o140000 | mode, uid, gid },
});
const open = file('/run', 0o755, 0, 0);
const told = (socket: FileRights, folder = file('/run/some', 0o755, 0, 0)) =>
  describeSocketAccess({ socket, folders: [open, folder], userName: nameOf, groupName: nameOf });

it.each<[mode: string, uid: number, gid: number, may: string]>([
  ['0660', 0, 7, 'the group eka-ci-sandbox may connect (0660)'],
  ['0600', 999, 7, 'the user 999 may connect (0600)'],
  ['0660', 999, 7, 'the user 999 and the group eka-ci-sandbox may connect (0660)'],
  ['0060', 999, 7, 'the group eka-ci-sandbox may connect (0060)'],
  ['0666', 0, 0, 'everybody may connect (0666)'],
])('others than root may connect: %s of %i:%i', (mode, uid, gid, may) => {
  expect(told(file(path, Number.parseInt(mode, 8), uid, gid))).toEqual({ may, warning: null });
});

it.each<[mode: string, uid: number, gid: number]>([
  ['0600', 0, 7],
  // To read is not to connect.
  ['0644', 0, 7],
  // Whoever is in the group of root is root, but for his number.
  ['0660', 0, 0],
  ['0000', 999, 7],
])('only root may connect: %s of %i:%i', (mode, uid, gid) => {
  const { may, warning } = told(file(path, Number.parseInt(mode, 8), uid, gid));
  expect(may).toMatch(/^only root may connect \(0\d{3}\)$/);
  expect(warning).toMatch(
    /^only root may connect to the sandbox at \/run\/some\/sandbox\.sock \(.+:.+, 0\d{3}\)/,
  );
  expect(warning).toMatch(
    /SocketGroup=eka-ci-sandbox and SocketMode=0660 .*SupplementaryGroups=eka-ci-sandbox/,
  );
});

it('nobody gets through a folder that is not theirs', () => {
  const socket = file(path, 0o660, 0, 7);
  const { may, warning } = told(socket, file('/run/some', 0o700, 0, 0));
  expect(may).toBe('only root may connect (/run/some lets nobody else through (root:root, 0700))');
  expect(warning).toMatch(/^only root .* chmod o\+x \/run\/some/);
  expect(told(socket, file('/run/some', 0o750, 0, 7)).warning).toBeNull();
});

it('is looked at where it is, and nothing is said of what is not there', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'eka-ci-access-'));
  try {
    const inside = join(folder, 'inside');
    mkdirSync(inside);
    const at = join(inside, 'socket');
    writeFileSync(at, '');
    chmodSync(folder, 0o711);
    chmodSync(inside, 0o711);
    chmodSync(at, 0o622);
    expect(await lookAtSocket(at)).toEqual({ may: 'everybody may connect (0622)', warning: null });
    if (process.getuid?.() === 0) {
      chownSync(at, 0, 65_534);
      chmodSync(at, 0o620);
      expect((await lookAtSocket(at))?.may).toMatch(/^the group \w+ may connect \(0620\)$/);
      chmodSync(folder, 0o700);
      expect((await lookAtSocket(at))?.warning).toContain(`chmod o+x ${folder}`);
    }
    expect(await lookAtSocket(join(inside, 'none'))).toBeNull();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
