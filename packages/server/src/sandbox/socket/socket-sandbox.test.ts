import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeSandbox, runScript } from '../sandbox.contract.ts';
import { otherUser, serveRunners } from '../testing/serve-runners.ts';
import { createSocketSandbox } from './socket-sandbox.ts';

const serve = async (socketPath: string, copies: string, searchPath = process.env['PATH']) => {
  const served = await serveRunners({ socketPath, copies, env: { PATH: searchPath }, user: otherUser });
  return () => served.close();
};

const containing = (text: string): unknown => expect.stringContaining(text);

describeSandbox('its runner behind a socket', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'eka-ci-sandbox-'));
  const copies = mkdtempSync(join(tmpdir(), 'eka-ci-sandbox-'));
  if (otherUser !== null) chownSync(copies, otherUser.uid, otherUser.gid);
  const socketPath = join(folder, 'socket');
  const close = await serve(socketPath, copies);
  return {
    sandbox: createSocketSandbox({ socketPath }),
    copies,
    remove: async () => {
      await close();
      for (const each of [folder, copies]) rmSync(each, { recursive: true });
    },
  };
});

describe('a runner behind a socket', () => {
  it('refuses in its own words, though it did not take the whole tree', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'eka-ci-sandbox-'));
    const copies = mkdtempSync(join(tmpdir(), 'eka-ci-sandbox-'));
    if (otherUser !== null) chownSync(copies, otherUser.uid, otherUser.gid);
    writeFileSync(join(folder, 'large'), Buffer.alloc(8 * 1024 * 1024));
    const close = await serve(join(copies, 'socket'), copies, '/nowhere');
    try {
      const sandbox = createSocketSandbox({ socketPath: join(copies, 'socket') });
      const outcome = await runScript(sandbox, folder, 'echo ran');
      expect(outcome.result).toEqual({ kind: 'refused', why: 'bubblewrap (bwrap) is not installed' });
      const unread = await runScript(sandbox, join(folder, 'no-such-tree'), 'echo ran');
      expect(unread.result).toMatchObject({ kind: 'refused' });
    } finally {
      await close();
      for (const each of [folder, copies]) rmSync(each, { recursive: true });
    }
  });

  it('says what to do where nobody listens', async () => {
    const sandbox = createSocketSandbox({ socketPath: '/nowhere/eka-ci.sock' });
    const outcome = await runScript(sandbox, tmpdir(), 'echo ran');
    expect(outcome.result).toEqual({
      kind: 'refused',
      why: containing('no sandbox answers at /nowhere/eka-ci.sock (ENOENT)'),
    });
  });
});
