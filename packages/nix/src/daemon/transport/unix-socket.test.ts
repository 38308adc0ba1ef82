import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createPrivateStore } from '../../testing/private-store.ts';
import { describeDaemon } from '../daemon.contract.ts';
import { connectDaemon } from '../daemon-connection.ts';
import { unixSocketTransport } from './unix-socket.ts';

describeDaemon('at a socket', async () => {
  const store = await createPrivateStore({ daemon: true });
  return { store, transport: unixSocketTransport(store.nix.daemonSocket) };
});

describe('a socket', () => {
  it('at which no daemon is says so, and what to do', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'eka-ci-socket-'));
    const connect = (path: string) => connectDaemon(unixSocketTransport(path), { storeDir: '/nix/store' });
    try {
      await expect(connect(join(folder, 'none'))).rejects.toMatchObject({
        code: 'NIX_DAEMON_UNREACHABLE',
        message: expect.stringMatching(/none: there is no such socket.*systemctl/) as string,
      });
      const path = join(folder, 'socket');
      const server = createServer((socket) => void socket.destroy());
      await new Promise<void>((resolve) => server.listen(path, resolve));
      try {
        await expect(connect(path)).rejects.toMatchObject({
          code: 'NIX_DAEMON_UNREACHABLE',
          message: expect.stringContaining('allowed-users') as string,
        });
      } finally {
        await new Promise((resolve) => server.close(resolve));
      }
      const reason = new Error('no more');
      const attempt = connectDaemon(unixSocketTransport(path), {
        storeDir: '/nix/store',
        signal: AbortSignal.abort(reason),
      });
      await expect(attempt).rejects.toBe(reason);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
