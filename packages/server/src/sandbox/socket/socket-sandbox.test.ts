import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { describeSandbox, runScript } from '../sandbox.contract.ts';
import { createSocketSandbox } from './socket-sandbox.ts';

const program = fileURLToPath(new URL('../../eka-ci-server.mjs', import.meta.url));

const nobody = { uid: 65_534, gid: 65_534 };
/** A user of its own, where we may choose one that can read the program. */
const other =
  process.getuid?.() === 0 && spawnSync(process.execPath, [program, '--version'], nobody).status === 0
    ? nobody
    : null;

/** As systemd does for a socket unit with Accept=yes: one process a connection, which is its input and its output. */
const serveRunners = async (socketPath: string, copies: string, searchPath = process.env['PATH']) => {
  const onConnection = (socket: Socket): void => {
    const runner = spawn(process.execPath, [program, 'sandbox-runner', copies], {
      stdio: [socket, socket, 'inherit'],
      env: { PATH: searchPath },
      ...other,
    });
    runner.once('spawn', () => socket.destroy());
  };
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, onConnection);
  server.listen(socketPath);
  await once(server, 'listening');
  return () => new Promise<void>((resolve) => server.close(() => resolve()));
};

const containing = (text: string): unknown => expect.stringContaining(text);

describeSandbox('its runner behind a socket', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'eka-ci-sandbox-'));
  const copies = mkdtempSync(join(tmpdir(), 'eka-ci-sandbox-'));
  if (other !== null) chownSync(copies, other.uid, other.gid);
  const socketPath = join(folder, 'socket');
  const close = await serveRunners(socketPath, copies);
  return {
    sandbox: createSocketSandbox({ socketPath, storeDirs: ['/nix/store'] }),
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
    if (other !== null) chownSync(copies, other.uid, other.gid);
    writeFileSync(join(folder, 'large'), Buffer.alloc(8 * 1024 * 1024));
    const close = await serveRunners(join(copies, 'socket'), copies, '/nowhere');
    try {
      const sandbox = createSocketSandbox({ socketPath: join(copies, 'socket'), storeDirs: [] });
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
    const sandbox = createSocketSandbox({ socketPath: '/nowhere/eka-ci.sock', storeDirs: [] });
    const outcome = await runScript(sandbox, tmpdir(), 'echo ran');
    expect(outcome.result).toEqual({
      kind: 'refused',
      why: containing('no sandbox answers at /nowhere/eka-ci.sock (ENOENT)'),
    });
  });
});
