import { findProgram } from '@eka-ci/process';
import { expect, it } from 'vitest';
import { chooseSandboxUser } from './sandbox-user.ts';

const searchPath = process.env['PATH'] ?? '';

it('is our own user under another id, where we are not root', () => {
  const user = chooseSandboxUser(searchPath, 1234);
  expect(user).toMatchObject({ id: 1000, becoming: [], treeOwner: null });
  expect(user?.bubblewrap).toContain('--unshare-user');
});

it.skipIf(findProgram('setpriv') === null)(
  'is nobody else, and another one each time, where we are root',
  () => {
    const users = Array.from({ length: 20 }, () => chooseSandboxUser(searchPath, 0));
    expect(new Set(users.map((user) => user?.id)).size).toBe(20);
    for (const user of users) {
      expect(user?.treeOwner).toBe(user?.id);
      expect(user?.id).toBeGreaterThan(1_879_048_191);
      expect(user?.becoming).toEqual(expect.arrayContaining(['--reuid', String(user?.id), '--clear-groups']));
    }
  },
);

it('is nobody where we are root and cannot become anybody else', () => {
  expect(chooseSandboxUser('/nowhere', 0)).toBeNull();
});
