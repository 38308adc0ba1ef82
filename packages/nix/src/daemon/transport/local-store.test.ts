import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createPrivateStore } from '../../testing/private-store.ts';
import { buildPathsWithResults } from '../build-operations.ts';
import { describeDaemon } from '../daemon.contract.ts';
import { connectDaemon } from '../daemon-connection.ts';
import { localStoreTransport } from './local-store.ts';

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describeDaemon('of our own, over its standard input', async () => {
  const store = await createPrivateStore();
  return { store, transport: localStoreTransport(store.nix) };
});

describe('a daemon of our own', () => {
  it('has ended its builders when its connection is closed', async () => {
    const store = await createPrivateStore();
    try {
      const pidFile = join(store.folder, randomBytes(4).toString('hex'));
      const { it: drvPath } = await store.instantiate(
        `{ it = shell "it" "sleep 300 & echo $$ $! > ${pidFile}; sleep 300" {}; }`,
      );
      const connection = await connectDaemon(localStoreTransport(store.nix), {
        storeDir: store.nix.storeDir,
      });
      const ended = buildPathsWithResults(connection, [{ drvPath: drvPath!, outputs: [] }]);
      ended.catch(() => {});
      await expect.poll(() => readFile(pidFile, 'utf8').catch(() => ''), { timeout: 20_000 }).toMatch(/\n$/);
      await connection.close();
      const [builder, background] = (await readFile(pidFile, 'utf8')).trim().split(' ').map(Number);
      expect(isAlive(builder!)).toBe(false);
      // Killed with it, and waited for by nobody but the system.
      await expect.poll(() => isAlive(background!), { timeout: 10_000 }).toBe(false);
      await expect(ended).rejects.toMatchObject({ code: 'NIX_DAEMON_CLOSED' });
    } finally {
      await store.remove();
    }
  });
});
